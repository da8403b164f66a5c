# Compiles a source once for each instruction set and adds all of them to a library, which chooses
# at run time. HF_LANES is the number of floats in a vector.
#
# No -ffast-math: NaN and infinity are data. Products may be contracted into fused multiply-adds.
set(HOLDFAST_MATH $<IF:$<BOOL:${HOLDFAST_SANITIZE}>,-O1,-O3> -fno-math-errno -fno-trapping-math -ffp-contract=fast)

function(holdfast_instruction_set library source table name lanes)
  set(objects ${library}_${name})
  add_library(${objects} OBJECT ${source})
  target_include_directories(${objects} PRIVATE include common cpu)
  target_compile_definitions(
    ${objects} PRIVATE HF_TABLE=${table} HF_NAME="${name}" HF_LANES=${lanes} ${HOLDFAST_X86})
  target_compile_options(${objects} PRIVATE ${HOLDFAST_MATH} ${HOLDFAST_SIMD} ${ARGN})
  holdfast_warnings(${objects})
  target_link_libraries(${library} PRIVATE ${objects})
endfunction()

function(holdfast_instruction_sets library source)
  set(HOLDFAST_X86 "")
  set(HOLDFAST_SIMD -fopenmp-simd)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    set(HOLDFAST_X86 HF_X86)
    target_compile_definitions(${library} PRIVATE HF_X86)
    holdfast_instruction_set(${library} ${source} kAvx2 avx2 8 -mavx2 -mfma -mf16c)
    set(avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mf16c -mprefer-vector-width=512)
    holdfast_instruction_set(${library} ${source} kAvx512 avx512 16 ${avx512})
    holdfast_instruction_set(${library} ${source} kAvx512Bf16 avx512_bf16 16 ${avx512} -mavx512bf16)
  endif()
  holdfast_instruction_set(${library} ${source} kBaseline baseline 4)
endfunction()
