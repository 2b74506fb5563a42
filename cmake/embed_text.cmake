# Turns text files of data/ into string constants: generated/NAME.h defines checkbit::kNAME.
function(embed_text file constant header)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${header} CONTENT
"// Made from ${file} by cmake/embed_text.cmake.\n#pragma once\n\nnamespace checkbit {\ninline constexpr char ${constant}[] = R\"embedded(@text@)embedded\";\n}  // namespace checkbit\n" @ONLY)
endfunction()
embed_text(${CMAKE_SOURCE_DIR}/data/calibration_text.txt kCalibrationText calibration_text.h)
