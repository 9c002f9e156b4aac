# Installs the build BUILD into WORK, then configures, builds and runs the project beside this file against it.
function(step)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
  message("${output}")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed: ${result}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
# Moved: a package must not remember where it was installed to.
file(RENAME ${WORK}/prefix ${WORK}/moved)
step(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
     -DCMAKE_PREFIX_PATH=${WORK}/moved -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
step(${CMAKE_COMMAND} --build ${WORK}/build)
step(${CMAKE_COMMAND} --install ${WORK}/build --prefix ${WORK}/moved)
step(${WORK}/moved/bin/consumer)
# Fresh weights know nothing: ln 11 = 2.398, give or take what small weights do.
if(NOT output MATCHES "loss 2\\.[34][0-9]* gradient 0?\\.?[0-9]*[1-9]")
  message(FATAL_ERROR "the consumer printed: ${output}")
endif()
file(GLOB plugin ${WORK}/moved/lib*/libgranule_cuda.so)
if(plugin AND NOT output MATCHES "cuda: [1-9]")
  message(FATAL_ERROR "the consumer did not load ${plugin}")
endif()
step(${WORK}/moved/bin/granule --version)
