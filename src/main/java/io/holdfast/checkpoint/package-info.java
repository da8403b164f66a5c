/**
 * Hugging Face folders: safetensors, configuration, PEFT adapters; read without a copy, written so
 * that nothing half-written ever looks complete.
 *
 * <p>Tensors are {@link java.lang.foreign.MemorySegment}s over memory-mapped files; nothing here
 * knows of LibTorch. Pickle files are never read.
 */
package io.holdfast.checkpoint;
