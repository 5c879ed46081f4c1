# How every target of Rubato is compiled: language level, warnings, determinism, sanitizers, ccache.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header's time stamp would otherwise make every compile a miss.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CCACHE_PROGRAM})
endif()

add_library(rubato_build INTERFACE)
target_include_directories(rubato_build INTERFACE "${PROJECT_SOURCE_DIR}")
# No fused multiply-add behind our back: results must not depend on what a compiler contracts.
target_compile_options(rubato_build INTERFACE -Wall -Wextra -ffp-contract=off)
if(RUBATO_SANITIZE)
  # GCC's -Wmaybe-uninitialized is known to be wrong about instrumented code.
  target_compile_options(rubato_build INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(rubato_build INTERFACE -fsanitize=address,undefined)
endif()
if(RUBATO_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "RUBATO_FUZZ needs clang: cmake --preset fuzz, after "
      "scripts/install-dependencies --fuzz")
  endif()
  target_compile_options(rubato_build INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer)
  target_link_options(rubato_build INTERFACE -fsanitize=address,undefined)
endif()

# rubato_library(NAME [SOURCES ...] [PUBLIC targets...] [PRIVATE targets...])
# One static library per folder, called rubato_NAME.
function(rubato_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(rubato_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(rubato_${name} PUBLIC rubato_build ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
endfunction()
