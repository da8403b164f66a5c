# Warnings, optimisation and sanitizers for every native target.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
option(HOLDFAST_SANITIZE "build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

function(holdfast_compile target)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
  # No -ffast-math: NaN and infinity are data. These three only let loops vectorise.
  target_compile_options(${target} PRIVATE -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast
    -Wall -Wextra -Wconversion -Wshadow -Werror)
  if(HOLDFAST_SANITIZE)
    # Function clones are resolved before the sanitizers are ready.
    target_compile_definitions(${target} PRIVATE HF_NO_CLONES)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()
