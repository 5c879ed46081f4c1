# Counts the instructions of what the server does most (workloads.cpp) with callgrind, and compares
# them with what they were when limits.cmake was written: a change of more than a tenth in either
# direction fails. Times differ from machine to machine and from minute to minute; these do not.
#
# Expects PROGRAM, the workloads. Without valgrind nothing is counted.

cmake_minimum_required(VERSION 3.25)

find_program(VALGRIND valgrind)
if(NOT VALGRIND)
  message(STATUS "instructions: there is no valgrind here, so nothing was counted")
  return()
endif()

# NAME COUNT UNITS EXPECTED: instructions for each of UNITS in one of COUNT.
include("${CMAKE_CURRENT_LIST_DIR}/limits.cmake")

function(count_instructions result name times)
  execute_process(
    COMMAND "${VALGRIND}" --tool=callgrind --callgrind-out-file=/dev/null "${PROGRAM}" ${name} ${times}
    ERROR_VARIABLE said RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT said MATCHES "Collected : ([0-9]+)")
    message(FATAL_ERROR "instructions: ${name} was not counted: ${said}")
  endif()
  set(${result} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

set(failed FALSE)
foreach(limit IN LISTS limits)
  separate_arguments(limit)
  list(GET limit 0 name)
  list(GET limit 1 times)
  list(GET limit 2 units)
  list(GET limit 3 expected)
  # What starting takes is in both.
  math(EXPR twice "2 * ${times}")
  count_instructions(once ${name} ${times})
  count_instructions(more ${name} ${twice})
  math(EXPR thousandths "(${more} - ${once}) * 1000 / (${times} * ${units})")
  math(EXPR least "${expected} * 9 / 10")
  math(EXPR most "${expected} * 11 / 10")
  if(thousandths LESS least OR thousandths GREATER most)
    set(failed TRUE)
    message(SEND_ERROR "instructions: ${name} takes ${thousandths} thousandths of an instruction for each "
            "unit, not ${expected} as in limits.cmake; if that is as it should be, write the new number there")
  else()
    message(STATUS "instructions: ${name} takes ${thousandths} thousandths for each unit (${expected})")
  endif()
endforeach()
