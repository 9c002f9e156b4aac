# cmake --install installs the program, its CUDA plug-in, and the package `granule` with granule::core, ::autograd,
# ::nn, ::data, ::distributed, ::moe and ::optim. Headers go to include/granule, so that includes are written as they
# are here.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(modules core autograd nn data distributed moe optim)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/granule)

install(TARGETS granule RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET granule_cuda)
  # It is optional, because a build of the program alone, as scripts/quickstart makes it, has no plug-in to install.
  install(TARGETS granule_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} OPTIONAL)
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(targets ${modules})
list(TRANSFORM targets PREPEND granule_)
set_target_properties(granule_settings PROPERTIES EXPORT_NAME settings)
install(TARGETS granule_settings ${targets} EXPORT granule ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT granule FILE granuleTargets.cmake NAMESPACE granule:: DESTINATION ${package_dir})
install(DIRECTORY ${modules} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/granule
        FILES_MATCHING PATTERN *.hpp PATTERN *.cuh EXCLUDE)

configure_package_config_file(scripts/cmake/granuleConfig.cmake.in granuleConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(granuleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/granuleConfig.cmake ${PROJECT_BINARY_DIR}/granuleConfigVersion.cmake
              scripts/cmake/GranuleDependencies.cmake scripts/cmake/GranuleDevices.cmake DESTINATION ${package_dir})
