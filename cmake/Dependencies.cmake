# Every library we use, found or refused with the name of the Debian package that has it.

function(ctl_missing what package)
  message(FATAL_ERROR "${what} was not found: apt-get install ${package} (all packages: packaging/apt-packages)")
endfunction()

# ctl_find(CMakePackage debian-package)
macro(ctl_find name package)
  find_package(${name} QUIET)
  if(NOT ${name}_FOUND)
    ctl_missing(${name} ${package})
  endif()
endmacro()

find_program(PKG_CONFIG_EXECUTABLE pkg-config)
if(NOT PKG_CONFIG_EXECUTABLE)
  ctl_missing(pkg-config pkg-config)
endif()
find_package(PkgConfig REQUIRED)

# ctl_pkg(TARGET module debian-package): an imported target PkgConfig::TARGET
macro(ctl_pkg target module package)
  pkg_check_modules(${target} QUIET IMPORTED_TARGET ${module})
  if(NOT ${target}_FOUND)
    ctl_missing(${module} ${package})
  endif()
endmacro()

ctl_find(tl-expected libexpected-dev)
ctl_find(fmt libfmt-dev)
ctl_find(spdlog libspdlog-dev)
ctl_find(yaml-cpp libyaml-cpp-dev)
ctl_find(RapidJSON rapidjson-dev)
ctl_find(valijson libvalijson-dev)
ctl_find(SQLiteCpp libsqlitecpp-dev)
ctl_find(CLI11 libcli11-dev)
ctl_find(Threads libc6-dev)
ctl_find(mimalloc libmimalloc-dev)
ctl_pkg(LXC lxc lxc-dev)
ctl_pkg(NL libnl-route-3.0 libnl-route-3-dev)
ctl_pkg(NFTABLES libnftables libnftables-dev)
ctl_pkg(LIBARCHIVE libarchive libarchive-dev)
ctl_pkg(OPENSSL libcrypto libssl-dev)
ctl_pkg(SQLITE sqlite3 libsqlite3-dev)

# Takes malloc's place in a whole program. Sanitizers bring their own.
add_library(ctl-malloc INTERFACE)
if(NOT CTL_SANITIZE)
  target_link_libraries(ctl-malloc INTERFACE mimalloc)
  target_compile_definitions(ctl-malloc INTERFACE CTL_HAS_MIMALLOC)
endif()

# Debian's RapidJSON package sets a variable instead of a target.
add_library(ctl-rapidjson INTERFACE)
target_include_directories(ctl-rapidjson SYSTEM INTERFACE ${RAPIDJSON_INCLUDE_DIRS})
target_compile_definitions(ctl-rapidjson INTERFACE RAPIDJSON_HAS_STDSTRING=1)

if(CTL_BUILD_TESTS)
  ctl_find(doctest doctest-dev)
  ctl_find(rapidcheck librapidcheck-dev)
endif()
if(CTL_BUILD_BENCH)
  ctl_find(benchmark libbenchmark-dev)
endif()
