# How every target of the project is made: one flags target, one library per folder of src/, one module per driver.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

option(CTL_WERROR "Treat warnings as errors" OFF)
set(CTL_SANITIZE "" CACHE STRING "Sanitizers for every target: 'address,undefined' or 'thread'")

set(CTL_LIB_DIR ${CMAKE_BINARY_DIR}/lib/ctl)
set(CTL_DRIVER_DIR ${CTL_LIB_DIR}/drivers)

add_library(ctl-flags INTERFACE)
target_compile_options(ctl-flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror=switch
                            -Werror=return-type -Werror=unused-result>
  $<$<BOOL:${CTL_WERROR}>:-Werror>)
target_include_directories(ctl-flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
if(CTL_SANITIZE STREQUAL thread)
  # ThreadSanitizer adds a thread of its own, with which a process can't enter a mount namespace any more. Programs that have
  # the property CTL_SINGLE_THREADED have nothing to find for it.
  set(sanitized $<NOT:$<BOOL:$<TARGET_PROPERTY:CTL_SINGLE_THREADED>>>)
  target_compile_options(ctl-flags INTERFACE $<${sanitized}:-fsanitize=thread>)
  target_link_options(ctl-flags INTERFACE $<${sanitized}:-fsanitize=thread>)
elseif(CTL_SANITIZE)
  target_compile_options(ctl-flags INTERFACE -fsanitize=${CTL_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(ctl-flags INTERFACE -fsanitize=${CTL_SANITIZE})
endif()

# ctl_library(name SOURCES … [PUBLIC …] [PRIVATE …]): the shared library of one folder of src/, target ctl-<name>.
function(ctl_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(ctl-${name} SHARED ${arg_SOURCES})
  target_link_libraries(ctl-${name} PUBLIC ctl-flags ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  set_target_properties(ctl-${name} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${CTL_LIB_DIR}
    BUILD_RPATH_USE_ORIGIN ON
    INSTALL_RPATH "$ORIGIN")
  install(TARGETS ctl-${name} LIBRARY DESTINATION lib/ctl)
endfunction()

# ctl_driver(name SOURCES … [PRIVATE …]): a driver, twice: the static library ctl-driver-<name>-static, which tests link, and
# the loadable module ctl-driver-<name>.so, which adds the folder's module.cpp (the factory of drivers/api/module.h).
function(ctl_driver name)
  cmake_parse_arguments(arg "" "" "SOURCES;PRIVATE" ${ARGN})
  add_library(ctl-driver-${name}-static STATIC ${arg_SOURCES})
  target_link_libraries(ctl-driver-${name}-static PUBLIC ctl-flags ctl-drivers-api PRIVATE ${arg_PRIVATE})
  add_library(ctl-driver-${name} MODULE module.cpp)
  target_link_libraries(ctl-driver-${name} PRIVATE ctl-driver-${name}-static)
  set_target_properties(ctl-driver-${name} PROPERTIES
    PREFIX ""
    LIBRARY_OUTPUT_DIRECTORY ${CTL_DRIVER_DIR}
    BUILD_RPATH_USE_ORIGIN ON
    INSTALL_RPATH "$ORIGIN/..")
  install(TARGETS ctl-driver-${name} LIBRARY DESTINATION lib/ctl/drivers)
endfunction()

# Seconds. Sanitizers take several times as long.
if(CTL_SANITIZE)
  set(CTL_TEST_TIMEOUT 3600)
else()
  set(CTL_TEST_TIMEOUT 900)
endif()

# ctl_test(name LABEL label SOURCES … LIBS …): a doctest program and its CTest entry. Labels: unit, golden, property, root, vm.
# What has the label root must leave the machine as it was: tests/support looks before the first of them and after the last.
function(ctl_test name)
  cmake_parse_arguments(arg "" "LABEL" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ctl-flags ctl-test-support ${arg_LIBS})
  target_compile_definitions(${name} PRIVATE CTL_SOURCE_DIR="${PROJECT_SOURCE_DIR}" CTL_BINARY_DIR="${CMAKE_BINARY_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${CTL_TEST_TIMEOUT})
  if(arg_LABEL STREQUAL root)
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED machine)
  endif()
endfunction()
