# Shows that cmake/layering.cmake fails where it should: breaks each rule in a made-up tree.
#
#   cmake -D SOURCE_DIR=<root of the project> -D SCRATCH_DIR=<folder to use> -P layering_test.cmake

cmake_minimum_required(VERSION 3.25)

# expect(SHOULD_PASS TEXT): runs the check on the made-up tree and looks for TEXT in what it prints.
function(expect should_pass text)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -D "SOURCE_DIR=${SCRATCH_DIR}" -P "${SOURCE_DIR}/cmake/layering.cmake"
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(should_pass AND NOT result EQUAL 0)
    message(FATAL_ERROR "${text}: a clean tree was rejected:\n${output}")
  elseif(NOT should_pass AND result EQUAL 0)
    message(FATAL_ERROR "${text}: was accepted:\n${output}")
  endif()
  string(FIND "${output}" "${text}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "expected '${text}' in:\n${output}")
  endif()
endfunction()

# rejected(FILE CONTENT TEXT): this file alone makes the clean tree fail, with this text.
function(rejected file content text)
  file(WRITE "${SCRATCH_DIR}/${file}" "${content}\n")
  expect(FALSE "${file}:${text}")
  file(REMOVE "${SCRATCH_DIR}/${file}")
endfunction()

file(REMOVE_RECURSE "${SCRATCH_DIR}")
foreach(folder IN ITEMS bytes config optim data storage monitoring coordination messages model actors app
        bench cmake compare corpus docs examples generation network packaging recovery rubato scripts tests
        transfer)
  file(WRITE "${SCRATCH_DIR}/${folder}/README.md" "What is in it.\n")
endforeach()
file(WRITE "${SCRATCH_DIR}/optim/a.hpp"
  "// #include \"actors/a.hpp\"\n#include <Eigen/Core>\n#include \"config/a.hpp\"\n#include \"optim/b.hpp\"\n")
file(WRITE "${SCRATCH_DIR}/messages/caf.hpp" "#include <caf/all.hpp>\n#if CAF_VERSION < 1800\n#endif\n")
file(WRITE "${SCRATCH_DIR}/config/a.hpp" "#include <compare>\n")  # the standard library's
file(WRITE "${SCRATCH_DIR}/actors/a.cpp" "#include \"messages/caf.hpp\"\n#include \"model/a.hpp\"\n")
file(WRITE "${SCRATCH_DIR}/tests/model/a_test.cpp" "#include <torch/torch.h>\n#include \"optim/a.hpp\"\n")
file(WRITE "${SCRATCH_DIR}/docs/a.md" "build/home/a, ~/home/a, https://a.example/home/a\n")
expect(TRUE "5 source files keep to their layers")

rejected(coordination/b.hpp "int a;\n\n#include \"actors/a.hpp\""
  "3: #include \"actors/a.hpp\": coordination/ may include of the other folders: config")
rejected(config/b.hpp "#include <optim/a.hpp>" "1: #include <optim/a.hpp>: config/ may include")
rejected(actors/b.cpp "#include \"bench/a.hpp\"" "1: #include \"bench/a.hpp\": actors/ may include")
rejected(app/b.cpp "#include \"messages/caf.hpp\"" "1: #include \"messages/caf.hpp\": app/ may")
rejected(actors/b.cpp "#include \"b.hpp\"" "1: #include \"b.hpp\": write it from the root")
rejected(actors/b.cpp "#include \"../model/a.hpp\"" "1: #include \"../model/a.hpp\": write it from")
rejected(actors/b.cpp "#include <caf/all.hpp>" "1: #include <caf/all.hpp>: only messages/caf.hpp")
rejected(actors/b.cpp "# if defined(A) && CAF_VERSION > 3" "1: # if defined(A) && CAF_VERSION > 3: only")
rejected(actors/b.cpp "#if RUBATO_CAF_1" "1: #if RUBATO_CAF_1: only messages/caf.hpp may depend")
rejected(tests/actors/b.cpp "#include <ATen/Parallel.h>" "1: #include <ATen/Parallel.h>: only model")
rejected(messages/b.hpp "// a double\nstruct loss { double value\; }\;" "2: struct loss { double value")
rejected(data/b.cpp "#include <Eigen/Dense>" "1: #include <Eigen/Dense>: only optim")
# In pieces, so that this file passes the check itself.
string(CONCAT path "/home" "/somebody/a")
rejected(docs/b.md "see ${path}" "1: see ${path}: this path exists on one machine only")

file(REMOVE "${SCRATCH_DIR}/storage/README.md")
expect(FALSE "storage/: has no README.md")

file(REMOVE_RECURSE "${SCRATCH_DIR}")
file(MAKE_DIRECTORY "${SCRATCH_DIR}")
expect(FALSE "no source file")
file(REMOVE_RECURSE "${SCRATCH_DIR}")
