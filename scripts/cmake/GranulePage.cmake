# granule_page(TARGET FOLDER) compiles the files of a page into a target, so that an installed program needs none of
# them. FOLDER/files.txt lists the style sheets and scripts in their order, and page.html is the page. A change of any
# of them builds the target again. When run as a script, this file writes page_files.cpp with their bytes.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(granule_page_script ${CMAKE_CURRENT_LIST_FILE})
  function(granule_page target folder)
    set(web ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
    set(written ${CMAKE_CURRENT_BINARY_DIR}/page_files.cpp)
    file(GLOB_RECURSE files CONFIGURE_DEPENDS ${web}/*)
    add_custom_command(OUTPUT ${written}
      COMMAND ${CMAKE_COMMAND} -DWEB=${web} -DWRITTEN=${written} -P ${granule_page_script}
      DEPENDS ${files} ${granule_page_script} COMMENT "" VERBATIM)
    target_sources(${target} PRIVATE ${written})
  endfunction()
  return()
endif()

# Sets `bytes` to the bytes of files one after the other, as a list of numbers for C++.
function(read_bytes bytes)
  set(all "")
  foreach(name IN LISTS ARGN)
    file(READ ${WEB}/${name} hex HEX)
    string(APPEND all "${hex}0a")
  endforeach()
  string(REGEX REPLACE "(..)" "0x\\1," all "${all}")
  set(${bytes} "${all}" PARENT_SCOPE)
endfunction()

file(STRINGS ${WEB}/files.txt listed REGEX "[^ ]")
set(styles ${listed})
set(scripts ${listed})
list(FILTER styles INCLUDE REGEX "\\.css$")
list(FILTER scripts INCLUDE REGEX "\\.js$")
read_bytes(page page.html)
read_bytes(style ${styles})
read_bytes(script ${scripts})
set(text "// Written by scripts/cmake/GranulePage.cmake from apps/report/web/.\n#include \"apps/report/page.hpp\"\n\nnamespace granule {\nnamespace {\n")
foreach(part page style script)
  string(APPEND text "constexpr unsigned char k_${part}[] = {\n${${part}}0x00};\n")
endforeach()
string(APPEND text "std::string_view text_of(const unsigned char* bytes, std::size_t size) {\n"
  "  return {reinterpret_cast<const char*>(bytes), size - 1};\n}\n}  // namespace\n\n"
  "PageFiles page_files() {\n"
  "  return {text_of(k_page, sizeof k_page), text_of(k_style, sizeof k_style), text_of(k_script, sizeof k_script)};\n"
  "}\n}  // namespace granule\n")
file(WRITE ${WRITTEN} "${text}")
