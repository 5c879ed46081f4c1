# Puts the report page together, one HTML file, and writes it as a C++ source.
#
#   cmake -D PAGE=<folder> -D CHART_JS=<chart.min.js> -D OUTPUT=<file.cpp> -P cmake/RubatoEmbed.cmake
#
# PAGE holds index.html, in which @PAGE_CSS@ stands for the content of page.css, and so on; @CHART_JS@
# is the library. What is left of the markers, @DATA@, is monitoring/report.cpp's.

cmake_minimum_required(VERSION 3.25)

# fill_in(MARKER FILE): an element may hold anything but its own end.
macro(fill_in marker file)
  file(READ "${file}" content)
  if(content MATCHES "</(script|style)|<!--")
    message(FATAL_ERROR "${file} contains \"${CMAKE_MATCH_0}\", which would end its element")
  endif()
  string(REPLACE "${marker}" "${content}" page "${page}")
endmacro()

file(READ "${PAGE}/index.html" page)
fill_in(@PAGE_CSS@ "${PAGE}/page.css")
fill_in(@MODEL_JS@ "${PAGE}/model.js")
fill_in(@CHARTS_JS@ "${PAGE}/charts.js")
fill_in(@PAGE_JS@ "${PAGE}/page.js")
fill_in(@CHART_JS@ "${CHART_JS}")

file(WRITE "${OUTPUT}" "// Made by cmake/RubatoEmbed.cmake.
#include <string_view>

namespace rubato {

extern const std::string_view page_template;
const std::string_view page_template = R\"rubato_page(${page})rubato_page\";

}  // namespace rubato
")
