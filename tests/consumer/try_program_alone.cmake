# Builds from SOURCE what scripts/quickstart builds, which is the program without tests and plug-in, and installs it.
function(step)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed: ${result}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGRANULE_BUILD_TESTS=OFF)
step(${CMAKE_COMMAND} --build ${WORK}/build --target granule)
step(${CMAKE_COMMAND} --install ${WORK}/build --prefix ${WORK}/prefix)
step(${WORK}/prefix/bin/granule --version)
