# Installs Rubato into an empty folder, and configures, builds and runs a project that finds it there.
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

file(REMOVE_RECURSE "${SCRATCH_DIR}")
set(installed "${SCRATCH_DIR}/installed")
run(install ${CMAKE_COMMAND} --install "${BUILD_DIR}" --prefix "${installed}")
foreach(program IN ITEMS bin/rubato lib/rubato/librubato_sentencepiece.so share/rubato/quickstart.toml)
  if(NOT EXISTS "${installed}/${program}")
    message(FATAL_ERROR "package: ${program} is not installed")
  endif()
endforeach()
run("configure" ${CMAKE_COMMAND} -G "${GENERATOR}" -S "${SOURCE_DIR}/tests/rubato/package"
    -B "${SCRATCH_DIR}/build" "-DCMAKE_PREFIX_PATH=${installed};${PREFIX_PATH}"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" "-DEXAMPLES=${SOURCE_DIR}/examples"
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
file(REMOVE_RECURSE "${SCRATCH_DIR}")
