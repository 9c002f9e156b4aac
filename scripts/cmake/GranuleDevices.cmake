# granule_hosts_devices(TARGET [MODULE…]) lets a program load the plug-ins of devices. They find kernel slots and
# functions of every module in the program, so it contains and exports all of them, whether it uses them itself or not.
# Of the modules that are named it has only what it uses. So it can have a function of its own in the place of theirs.
function(granule_hosts_devices target)
  set(archives "")
  foreach(module core autograd nn data distributed moe optim)
    if(NOT module IN_LIST ARGN)
      list(APPEND archives $<TARGET_FILE:granule::${module}>)
    endif()
    target_link_libraries(${target} PRIVATE granule::${module})
  endforeach()
  list(JOIN archives "," archives)
  target_link_options(${target} PRIVATE "LINKER:--whole-archive,${archives},--no-whole-archive")
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
endfunction()
