# The device SDK: muster::device is the static library, muster::device_shared the shared one.
get_filename_component(_muster_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET muster::device)
  add_library(muster::device STATIC IMPORTED)
  set_target_properties(muster::device PROPERTIES
    IMPORTED_LOCATION "${_muster_prefix}/lib/libmuster_device.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_muster_prefix}/include"
    INTERFACE_LINK_LIBRARIES "gcc_s;util;rt;pthread;m;dl;c")
endif()

if(NOT TARGET muster::device_shared)
  add_library(muster::device_shared SHARED IMPORTED)
  set_target_properties(muster::device_shared PROPERTIES
    IMPORTED_LOCATION "${_muster_prefix}/lib/libmuster_device.so"
    IMPORTED_NO_SONAME TRUE
    INTERFACE_INCLUDE_DIRECTORIES "${_muster_prefix}/include")
endif()

unset(_muster_prefix)
