# embed_text(FILE CONSTANT HEADER TARGET): compiles a text file into TARGET as checkbit::CONSTANT,
# which HEADER declares.
function(embed_text file constant header target)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  set(source ${CMAKE_BINARY_DIR}/generated/${constant}.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"@header@\"\n\nnamespace checkbit {\nconst char* const @constant@ = R\"embedded(@text@)embedded\";\n}  // namespace checkbit\n")
  target_sources(${target} PRIVATE ${source})
endfunction()

embed_text(${CMAKE_SOURCE_DIR}/data/calibration_text.txt kCalibrationText
  quantize/calibration_text.h checkbit_quantize)
