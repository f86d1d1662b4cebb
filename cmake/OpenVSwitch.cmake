# The imported target ctl-openvswitch: libopenvswitch.a with the OVSDB IDL and its headers. Debian ships the library only as
# source, so that it is built here at build time, once per machine: all build directories share the cache.

if(DEFINED ENV{HOME})
  set(CTL_OVS_CACHE_DEFAULT "$ENV{HOME}/.cache/ctl")
else()
  set(CTL_OVS_CACHE_DEFAULT "${PROJECT_SOURCE_DIR}/.cache")
endif()
set(CTL_OVS_CACHE "${CTL_OVS_CACHE_DEFAULT}" CACHE PATH "Where the built libopenvswitch is kept between builds")

find_file(CTL_OVS_TARBALL NAMES openvswitch.tar.gz openvswitch.tar.xz PATHS /usr/src/openvswitch NO_DEFAULT_PATH)
if(NOT CTL_OVS_TARBALL)
  ctl_missing("the source of Open vSwitch" openvswitch-source)
endif()
find_program(CTL_MAKE make)
if(NOT CTL_MAKE)
  ctl_missing(make make)
endif()

set(CTL_OVS_BUILDER ${CMAKE_CURRENT_LIST_DIR}/build-openvswitch.sh)
file(SHA256 ${CTL_OVS_TARBALL} tarball_hash)
file(SHA256 ${CTL_OVS_BUILDER} builder_hash)
string(SHA256 both_hashes "${tarball_hash}${builder_hash}")
string(SUBSTRING ${both_hashes} 0 16 key)
set(CTL_OVS_DIR ${CTL_OVS_CACHE}/openvswitch-${CMAKE_SYSTEM_PROCESSOR}-${key})
# CMake insists that include directories exist when it configures.
file(MAKE_DIRECTORY ${CTL_OVS_DIR}/headers/include ${CTL_OVS_DIR}/headers/lib)

add_custom_command(
  OUTPUT ${CTL_OVS_DIR}/libopenvswitch.a
  COMMAND ${CTL_OVS_BUILDER} ${CTL_OVS_TARBALL} ${CTL_OVS_DIR}
  DEPENDS ${CTL_OVS_TARBALL} ${CTL_OVS_BUILDER}
  COMMENT "libopenvswitch"
  VERBATIM)
add_custom_target(ctl-openvswitch-build DEPENDS ${CTL_OVS_DIR}/libopenvswitch.a)

add_library(ctl-openvswitch STATIC IMPORTED GLOBAL)
set_target_properties(ctl-openvswitch PROPERTIES IMPORTED_LOCATION ${CTL_OVS_DIR}/libopenvswitch.a)
target_include_directories(ctl-openvswitch SYSTEM INTERFACE
  ${CTL_OVS_DIR}/headers ${CTL_OVS_DIR}/headers/include ${CTL_OVS_DIR}/headers/lib)
target_link_libraries(ctl-openvswitch INTERFACE Threads::Threads atomic m)
add_dependencies(ctl-openvswitch ctl-openvswitch-build)
