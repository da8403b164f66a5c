# Warnings are errors in all C++ of ours.
function(holdfast_warnings target)
  target_compile_options(
    ${target}
    PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-Wall
      -Wextra
      -Wconversion
      -Wshadow
      -Wno-unknown-pragmas
      -Werror>)
endfunction()
