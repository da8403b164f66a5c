# -DHOLDFAST_SANITIZE=ON: AddressSanitizer and UndefinedBehaviorSanitizer in the tests of
# tests/native and what they are linked with (a JVM cannot load such a library without preloading
# the sanitizer). Little is optimised: it compiles sooner, and hides less.
option(HOLDFAST_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
if(HOLDFAST_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  add_link_options(-fsanitize=address,undefined)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1")
  set(HOLDFAST_CUDA OFF)
endif()
