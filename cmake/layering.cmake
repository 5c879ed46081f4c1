# Holds the source tree to its layers; the tables below are their definition.
#
#   cmake -D SOURCE_DIR=<root of the project> -P cmake/layering.cmake
#
# Prints one line a violation, "file:line: text: the rule", and fails if there is any.

cmake_minimum_required(VERSION 3.25)

# Which folders a folder may include, besides itself. Arrows point one way: the lines are in
# dependency order, and each names only folders above it.
set(layers
  "bytes        :"
  "config       :"
  "optim        : config"
  "transfer     : bytes config optim"
  "storage      : bytes config"
  "data         : bytes config storage"
  "corpus       : bytes config data storage"
  "generation   : config data corpus"
  "monitoring   : config"
  "compare      : config storage monitoring"
  "coordination : config"
  "recovery     : bytes config optim transfer storage monitoring coordination"
  "network      : bytes config optim transfer coordination"
  "messages     : config optim data transfer monitoring coordination network"
  "model        : bytes config optim data coordination"
  "actors       : config optim transfer data storage monitoring coordination recovery network messages model"
  "bench        : bytes config optim transfer data storage monitoring coordination recovery network messages model actors"
  "app          : config optim data corpus generation storage monitoring compare coordination recovery network model actors bench"
  "rubato       : config optim data monitoring coordination network model actors app")

# Who may include the headers of a library (a regular expression) that is not for everybody: a list
# of folders or files. Elsewhere, tests included, it is unknown.
set(libraries
  "(torch|ATen|c10)/ : model tests/model tests/rubato"
  "caf/ : messages/caf.hpp"
  "(jpeglib|jerror|png)\\.h : data/images tests/data/images"
  "(simdjson|sentencepiece_(processor|trainer))\\.h : corpus"
  "Eigen/ : optim tests/optim"
  "prometheus/ : monitoring"
  "(CivetServer|civetweb)\\.h : monitoring")

# The one file that may ask for CAF's version in an #if.
set(caf_versions_in messages/caf.hpp)

# Messages carry numbers as integers or behind a pointer: CAF 0.17.6 corrupts floating point.
set(without_floating_point messages)

# Every folder has a README.md that says what is in it, what is not, and where to start.
set(documented cmake docs examples packaging scripts tests)

# ---------------------------------------------------------------------------------------------

if(NOT IS_DIRECTORY "${SOURCE_DIR}")
  message(FATAL_ERROR "layering: say which tree with -D SOURCE_DIR=<root of the project>")
endif()

set(violations 0)

# violation(FILE TEXT RULE): TEXT is the line, or part of it, that breaks the rule.
function(violation file text rule)
  file(READ "${SOURCE_DIR}/${file}" content)
  string(FIND "${content}" "${text}" position)
  string(SUBSTRING "${content}" 0 ${position} before)
  string(REGEX MATCHALL "\n" newlines "${before}")
  list(LENGTH newlines line)
  math(EXPR line "${line} + 1")
  string(STRIP "${text}" text)
  message("${file}:${line}: ${text}: ${rule}")
  math(EXPR count "${violations} + 1")
  set(violations ${count} PARENT_SCOPE)
endfunction()

# split_rule(RULE NAME_VARIABLE LIST_VARIABLE): "a : b c" becomes "a" and the list of b and c.
function(split_rule rule name_variable list_variable)
  string(REGEX REPLACE " *:.*" "" name "${rule}")
  string(REGEX REPLACE "^[^:]*: *" "" rest "${rule}")
  string(REPLACE " " ";" rest "${rest}")
  set(${name_variable} "${name}" PARENT_SCOPE)
  set(${list_variable} "${rest}" PARENT_SCOPE)
endfunction()

set(layer_names)
foreach(rule IN LISTS layers)
  split_rule("${rule}" name allowed)
  list(APPEND layer_names ${name})
  set(allowed_${name} ${allowed})
endforeach()

set(files_read 0)
foreach(folder IN LISTS layer_names ITEMS tests)
  file(GLOB_RECURSE files RELATIVE "${SOURCE_DIR}"
    "${SOURCE_DIR}/${folder}/*.hpp" "${SOURCE_DIR}/${folder}/*.cpp")
  foreach(file IN LISTS files)
    math(EXPR files_read "${files_read} + 1")

    file(STRINGS "${SOURCE_DIR}/${file}" includes REGEX "^[ \t]*#[ \t]*include")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^[^<\"]*[<\"]([^>\"]*).*" "\\1" header "${line}")
      string(REGEX REPLACE "/.*" "" included "${header}")

      # A folder may be called as a header of the standard library is: <compare> is not compare/.
      if(included IN_LIST layer_names AND header MATCHES "/")
        if(folder IN_LIST layer_names AND NOT included STREQUAL folder
           AND NOT included IN_LIST allowed_${folder})
          string(REPLACE ";" ", " names "${allowed_${folder}}")
          if(NOT names)
            set(names "nothing")
          endif()
          violation(${file} "${line}" "${folder}/ may include of the other folders: ${names}")
        endif()
      elseif(line MATCHES "include[ \t]*\"" AND NOT (included STREQUAL folder AND header MATCHES "/"))
        violation(${file} "${line}" "write it from the root, as \"folder/file.hpp\", or with <>")
      endif()

      foreach(rule IN LISTS libraries)
        split_rule("${rule}" library places)
        if(header MATCHES "^${library}")
          set(is_allowed FALSE)
          foreach(place IN LISTS places)
            if(file STREQUAL place OR file MATCHES "^${place}/")
              set(is_allowed TRUE)
            endif()
          endforeach()
          if(NOT is_allowed)
            string(REPLACE ";" ", " names "${places}")
            violation(${file} "${line}" "only ${names} may include this library")
          endif()
        endif()
      endforeach()
    endforeach()

    if(folder IN_LIST without_floating_point)
      file(STRINGS "${SOURCE_DIR}/${file}" numbers
        REGEX "(^|[^A-Za-z0-9_])(float|double)([^A-Za-z0-9_]|$)")
      foreach(line IN LISTS numbers)
        if(NOT line MATCHES "^[ \t]*//")
          violation(${file} "${line}" "no floating point in a message")
        endif()
      endforeach()
    endif()

    if(NOT file STREQUAL caf_versions_in)
      file(STRINGS "${SOURCE_DIR}/${file}" conditions
        REGEX "^[ \t]*#[ \t]*(el)?if.*[^A-Za-z0-9_](RUBATO_)?CAF_")
      foreach(line IN LISTS conditions)
        violation(${file} "${line}" "only ${caf_versions_in} may depend on CAF's version")
      endforeach()
    endif()
  endforeach()
endforeach()
if(files_read EQUAL 0)
  message(FATAL_ERROR "layering: no source file under ${SOURCE_DIR}")
endif()

foreach(folder IN LISTS layer_names documented)
  if(NOT EXISTS "${SOURCE_DIR}/${folder}/README.md")
    message("${folder}/: has no README.md: say what is in the folder, what is not, where to start")
    math(EXPR violations "${violations} + 1")
  endif()
endforeach()

# A path that exists on one developer's machine only. Sources, scripts, pages and configs alike.
file(GLOB texts RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/*.*" "${SOURCE_DIR}/.ci/*")
foreach(folder IN LISTS layer_names documented)
  file(GLOB_RECURSE found RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/${folder}/*")
  list(APPEND texts ${found})
endforeach()
set(developer_path "(^|[^A-Za-z0-9_.}~/-])/(home|root|Users|work|workspace)/[A-Za-z0-9_.-]")
foreach(file IN LISTS texts)
  if(file MATCHES "\\.(cpp|hpp|cmake|txt|json|md|toml|py|sh)$|^scripts/|^\\.ci/")
    file(STRINGS "${SOURCE_DIR}/${file}" lines ENCODING UTF-8 REGEX "${developer_path}")
    foreach(line IN LISTS lines)
      violation(${file} "${line}" "this path exists on one machine only")
    endforeach()
  endif()
endforeach()

if(violations GREATER 0)
  message(FATAL_ERROR "layering: ${violations} violation(s), see above")
endif()
message("layering: ${files_read} source files keep to their layers")
