# granule_hosts_devices(TARGET) lets a program load the plug-ins of devices. They find kernel slots and functions of
# every module in the program, so it contains and exports all of them, whether it uses them itself or not.
function(granule_hosts_devices target)
  set(archives "")
  foreach(module core autograd nn data distributed moe optim)
    list(APPEND archives $<TARGET_FILE:granule::${module}>)
    target_link_libraries(${target} PRIVATE granule::${module})
  endforeach()
  list(JOIN archives "," archives)
  target_link_options(${target} PRIVATE "LINKER:--whole-archive,${archives},--no-whole-archive")
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
endfunction()
