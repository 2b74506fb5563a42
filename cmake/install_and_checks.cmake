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

  # Processors without AVX2, and without AVX-512: no instruction of theirs runs, and the answers stay.
  find_program(CHECKBIT_QEMU_X86_64 qemu-x86_64)
  if(CHECKBIT_QEMU_X86_64 AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND NOT CHECKBIT_SANITIZE)
    foreach(processor qemu64 Haswell)
      add_test(NAME golden_answers_on_${processor}
               COMMAND ${CHECKBIT_QEMU_X86_64} -cpu ${processor} $<TARGET_FILE:arch_test>
                       --gtest_filter=*LogitsHaveTheGoldenHash*)
      set_tests_properties(golden_answers_on_${processor} PROPERTIES LABELS arch TIMEOUT 900
        PASS_REGULAR_EXPRESSION "PASSED  . [1-9][0-9]* tests" FAIL_REGULAR_EXPRESSION "FAILED|SKIPPED")
    endforeach()
  endif()
endif()
