# Installs Rubato into an empty folder, and configures, builds and runs a project that finds it there;
# makes the Debian packages, where dpkg is, and looks into them.
#
#   cmake -D BUILD_DIR=<of Rubato> -D SOURCE_DIR=<of Rubato> -D SCRATCH_DIR=<folder>
#         -D LAUNCHER=<of the compiler> -D GENERATOR=<of CMake> -D PREFIX_PATH=<dependencies>
#         -P package_test.cmake

cmake_minimum_required(VERSION 3.25)

# run(WHAT COMMAND...): ends the test with all that was printed if the command fails.
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE printed
                  ERROR_VARIABLE printed)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "package: ${what} failed (${result}):\n${printed}")
  endif()
  message("package: ${what}: done")
  set(printed "${printed}" PARENT_SCOPE)
endfunction()

# has(TEXT PART...): every PART must be in TEXT.
function(has text)
  foreach(part IN LISTS ARGN)
    string(FIND "${text}" "${part}" place)
    if(place EQUAL -1)
      message(FATAL_ERROR "package: ${part} is missing in:\n${text}")
    endif()
  endforeach()
endfunction()

file(REMOVE_RECURSE "${SCRATCH_DIR}")
set(installed "${SCRATCH_DIR}/installed")
run(install ${CMAKE_COMMAND} --install "${BUILD_DIR}" --prefix "${installed}")
foreach(program IN ITEMS bin/rubato lib/rubato/librubato_sentencepiece.so share/rubato/quickstart.toml)
  if(NOT EXISTS "${installed}/${program}")
    message(FATAL_ERROR "package: ${program} is not installed")
  endif()
endforeach()
set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} "${LAUNCHER}")  # a list, which an argument would not stay
run("configure" ${CMAKE_COMMAND} -G "${GENERATOR}" -S "${SOURCE_DIR}/tests/rubato/package"
    -B "${SCRATCH_DIR}/build" "-DCMAKE_PREFIX_PATH=${installed};${PREFIX_PATH}"
    "-DEXAMPLES=${SOURCE_DIR}/examples"
    "-DHEADERS=${installed}/include/rubato")
run("build" ${CMAKE_COMMAND} --build "${SCRATCH_DIR}/build")
run("train" "${SCRATCH_DIR}/build/own_model" train "${SOURCE_DIR}/examples/own_model.toml"
    --run.local_steps 400 --run.directory "${SCRATCH_DIR}/run" --monitor.listen=)
if(NOT printed MATCHES "Finished after 4[0-9][0-9] local steps")
  message(FATAL_ERROR "package: the run did not finish:\n${printed}")
endif()
# Somebody else's project knows nothing of where Rubato was built.
file(GLOB_RECURSE texts "${installed}/*.hpp" "${installed}/*.cmake")
foreach(text IN LISTS texts)
  file(STRINGS "${text}" lines REGEX "${SOURCE_DIR}")
  if(lines)
    message(FATAL_ERROR "package: ${text} names ${SOURCE_DIR}: ${lines}")
  endif()
endforeach()

find_program(DPKG_DEB dpkg-deb)
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
# What a package depends on can be read off libraries that are in packages themselves.
if(DPKG_DEB AND DPKG_SHLIBDEPS AND NOT PREFIX_PATH)
  run("make packages" ${CMAKE_CPACK_COMMAND} --config "${BUILD_DIR}/CPackConfig.cmake"
      -B "${SCRATCH_DIR}/packages")
  file(GLOB program "${SCRATCH_DIR}/packages/rubato_*.deb")
  file(GLOB library "${SCRATCH_DIR}/packages/librubato-dev_*.deb")
  run("list the program's" ${DPKG_DEB} --contents "${program}")
  has("${printed}" ./usr/bin/rubato ./usr/lib/rubato/librubato_sentencepiece.so
      ./usr/share/rubato/quickstart.toml ./usr/share/bash-completion/completions/rubato
      ./usr/share/zsh/vendor-completions/_rubato ./usr/share/man/man1/rubato.1.gz
      ./usr/lib/systemd/system/rubato-serve.service ./usr/share/doc/rubato/copyright)
  if(printed MATCHES "include|librubato\\.so")
    message(FATAL_ERROR "package: what is for developers is in the program's:\n${printed}")
  endif()
  run("read the program's dependencies" ${DPKG_DEB} --field "${program}" Depends Recommends)
  has("${printed}" libtorch libcaf-core libc6 libsentencepiece0 libopenblas0-pthread)
  run("list the library's" ${DPKG_DEB} --contents "${library}")
  has("${printed}" librubato.so /cmake/rubato/rubatoConfig.cmake ./usr/include/rubato/run.hpp
      ./usr/include/rubato/config/config.hpp
      ./usr/share/doc/librubato-dev/examples/own_model.cpp)
  run("read the library's dependencies" ${DPKG_DEB} --field "${library}" Depends)
  has("${printed}" "rubato (=" libtorch-dev libeigen3-dev)
endif()
file(REMOVE_RECURSE "${SCRATCH_DIR}")
