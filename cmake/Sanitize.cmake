# -DHOLDFAST_SANITIZE=ON: AddressSanitizer and UndefinedBehaviorSanitizer in everything, for the
# tests in tests/native (a JVM cannot load such a library without preloading the sanitizer).
option(HOLDFAST_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
if(HOLDFAST_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  add_link_options(-fsanitize=address,undefined)
endif()
