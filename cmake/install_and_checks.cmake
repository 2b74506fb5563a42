# `make install`, and the checks of the tree that run with the tests.

if(TARGET checkbit)
  include(GNUInstallDirs)
  install(TARGETS checkbit RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  set(completions ${CMAKE_BINARY_DIR}/completions)
  add_custom_command(
    OUTPUT ${completions}/checkbit ${completions}/_checkbit
    COMMAND ${CMAKE_COMMAND} -E make_directory ${completions}
    COMMAND checkbit completions bash > ${completions}/checkbit
    COMMAND checkbit completions zsh > ${completions}/_checkbit
    DEPENDS checkbit VERBATIM)
  if(NOT CHECKBIT_SANITIZE)
    add_custom_target(completions ALL DEPENDS ${completions}/checkbit ${completions}/_checkbit)
    install(FILES ${completions}/checkbit DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${completions}/_checkbit DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  endif()
endif()

if(CHECKBIT_TESTS)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  foreach(check layers sizes docs)
    add_test(NAME tree_${check}
             COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/check_${check}.py)
  endforeach()
endif()
