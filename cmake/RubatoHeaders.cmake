# Puts the public headers together as they are installed: those of rubato/, and what they include of
# other folders, below one folder that keeps their names apart from everybody else's.
#
# Expects SOURCE_DIR, the root of the project, and OUTPUT_DIR, which gets a folder rubato/ made anew:
# "config/config.hpp" becomes <rubato/config/config.hpp>.

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE "${OUTPUT_DIR}/rubato")
file(GLOB pending RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/rubato/*.hpp")
set(seen ${pending})
while(pending)
  list(POP_FRONT pending header)
  file(READ "${SOURCE_DIR}/${header}" text)
  string(REGEX MATCHALL "#include \"[^\"]+\"" includes "${text}")
  foreach(include IN LISTS includes)
    string(REGEX REPLACE "#include \"(.*)\"" "\\1" included "${include}")
    if(NOT included IN_LIST seen)
      list(APPEND pending "${included}")
      list(APPEND seen "${included}")
    endif()
    string(REGEX REPLACE "^rubato/" "" place "${included}")
    string(REPLACE "${include}" "#include <rubato/${place}>" text "${text}")
  endforeach()
  string(REGEX REPLACE "^rubato/" "" place "${header}")
  file(WRITE "${OUTPUT_DIR}/rubato/${place}" "${text}")
endwhile()
