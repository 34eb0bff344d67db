# INITRT_PRECOMPILE: what most files include is parsed once, not by each. Builds for sanitizers do so, and
# take a third less time from nothing. The others do not, nor does clang-tidy: there a file that leaves
# out what it includes does not compile.
set(headers <algorithm> <array> <cstdint> <functional> <map> <memory> <mutex> <optional> <span> <string>
  <string_view> <thread> <unordered_map> <utility> <vector> <fmt/format.h> <nlohmann/json.hpp>)
file(WRITE ${CMAKE_BINARY_DIR}/precompiled.cpp "")

# A sum of all that headers include, with these folders; "" where it cannot be made. The compiler cache takes
# it for the precompiled file (CCACHE_PCH_EXTSUM), whose bytes hold the path of the build: so another clone
# finds what this one compiled. Headers that change make it anew.
function(initrt_sum_of sum headers folders)
  set(${sum} "" PARENT_SCOPE)
  if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
    return()
  endif()
  list(TRANSFORM headers REPLACE "(.+)" "#include \\1\n")
  list(JOIN headers "" text)
  file(WRITE ${CMAKE_BINARY_DIR}/precompiled_headers.cpp "${text}")
  list(FILTER folders INCLUDE REGEX "^/")
  list(REMOVE_ITEM folders ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
  list(TRANSFORM folders PREPEND -isystem)
  set(compiler ${CMAKE_CXX_COMPILER} -std=c++20 ${folders} ${CMAKE_BINARY_DIR}/precompiled_headers.cpp)
  # Macros too, of which a change would not be seen elsewhere.
  execute_process(COMMAND ${compiler} -E -dD OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE failed)
  execute_process(COMMAND ${compiler} -M OUTPUT_VARIABLE files ERROR_QUIET RESULT_VARIABLE also_failed)
  if(failed OR also_failed)
    return()
  endif()
  string(REGEX REPLACE "^[^:]*:|\\\\\n" " " files "${files}")
  separate_arguments(files UNIX_COMMAND "${files}")
  list(FILTER files EXCLUDE REGEX "precompiled_headers.cpp$")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
  string(REPLACE "${CMAKE_BINARY_DIR}/" "" text "${text}")
  string(SHA256 of_text "${text}")
  set(${sum} ${of_text} PARENT_SCOPE)
endfunction()

# initrt_precompiled(NAME HEADERS header... [LIBS library...] [OPTIONS option...] USERS target...): the
# headers as its users include them, which are compiled with the same options.
function(initrt_precompiled name)
  cmake_parse_arguments(P "" "" "HEADERS;LIBS;OPTIONS;USERS" ${ARGN})
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(${name} PRIVATE initrt_options nlohmann_json::nlohmann_json fmt::fmt ${P_LIBS})
  # A compiler cache gives back what was made of files of another time.
  target_compile_options(${name} PRIVATE ${P_OPTIONS}
    $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang$<SEMICOLON>-fno-pch-timestamp>)
  target_precompile_headers(${name} PRIVATE ${P_HEADERS})
  set(folders)
  foreach(library nlohmann_json::nlohmann_json fmt::fmt ${P_LIBS})
    get_target_property(some ${library} INTERFACE_INCLUDE_DIRECTORIES)
    list(APPEND folders ${some})
  endforeach()
  initrt_sum_of(sum "${P_HEADERS}" "${folders}")
  set(file ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${name}.dir/cmake_pch.hxx.pch.sum)
  file(REMOVE ${file})
  if(sum)
    file(WRITE ${file} "${sum}")
  endif()
  foreach(user IN LISTS P_USERS)
    if(NOT TARGET ${user})
      continue()  # folders of tests that are not built
    endif()
    set_target_properties(${user} PROPERTIES PRECOMPILE_HEADERS_REUSE_FROM ${name})
    add_dependencies(${user} ${name})
  endforeach()
endfunction()

# Of the product all that is compiled with one set of options: a kernel's instructions are its file's own.
set(product launch machine start storage values faults export memory comm load exec test_models
  family_references)
set(parsers sharding model text)
list(TRANSFORM product PREPEND initrt_)
list(TRANSFORM parsers PREPEND initrt_)
get_property(fuzz GLOBAL PROPERTY INITRT_FUZZ_TARGETS)
list(APPEND product ${fuzz})
if(INITRT_BUILD_FUZZ)
  initrt_precompiled(initrt_precompiled_parsers HEADERS ${headers}
    OPTIONS -fsanitize=fuzzer-no-link USERS ${parsers})
else()
  list(APPEND product ${parsers})
endif()
initrt_precompiled(initrt_precompiled_product HEADERS ${headers} USERS ${product})

list(APPEND headers <chrono> <fstream> <gmock/gmock.h> <gtest/gtest.h>)
get_property(tests GLOBAL PROPERTY INITRT_TESTS)
initrt_precompiled(initrt_precompiled_tests HEADERS ${headers}
  LIBS GTest::gtest GTest::gmock OPTIONS ${INITRT_TEST_OPTIONS} USERS ${tests})
get_property(tests GLOBAL PROPERTY INITRT_BUSY_TESTS)
initrt_precompiled(initrt_precompiled_busy_tests HEADERS ${headers}
  LIBS GTest::gtest GTest::gmock OPTIONS -O1 USERS ${tests})
