#include <cuda_runtime.h>
#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <vector>

dim3 threadIdx, blockIdx, gridDim, blockDim;

namespace emulation {
namespace {

constexpr size_t kStack = 256 * 1024;
constexpr unsigned kWarp = 32;

enum class State { kReady, kAtBlock, kAtWarp, kDone };

// A fiber lives as long as the program and runs one block's thread after another. It is started
// with swapcontext and switched with longjmp, which unlike the former makes no system call.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool started = false;
  std::vector<char> stack = std::vector<char>(kStack);
  State state = State::kDone;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<uint64_t> words;
  jmp_buf scheduler;
  const std::function<void()> *body = nullptr;
};

Block block;

Fiber &running() { return block.fibers[threadIdx.x]; }

void wait(State state) {
  Fiber &fiber = running();
  fiber.state = state;
  if (_setjmp(fiber.place) == 0) _longjmp(block.scheduler, 1);
}

void fiber_main() {
  while (true) {
    (*block.body)();
    wait(State::kDone);
  }
}

void run(unsigned thread) {
  threadIdx.x = thread;
  Fiber &fiber = block.fibers[thread];
  if (_setjmp(block.scheduler) != 0) return;
  if (fiber.started) _longjmp(fiber.place, 1);
  fiber.started = true;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.context.uc_stack.ss_size = fiber.stack.size();
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
  setcontext(&fiber.context);
}

// Lets fibers first..last go on if all that still run wait at `state`.
bool release(unsigned first, unsigned last, State state) {
  bool any = false;
  for (unsigned i = first; i < last; i++) {
    const State s = block.fibers[i].state;
    if (s != state && s != State::kDone) return false;
    any = any || s == state;
  }
  for (unsigned i = first; any && i < last; i++) {
    if (block.fibers[i].state == state) block.fibers[i].state = State::kReady;
  }
  return any;
}

}  // namespace

void wait_for_block() { wait(State::kAtBlock); }

void wait_for_warp() { wait(State::kAtWarp); }

uint64_t *warp_words() { return block.words.data() + threadIdx.x / kWarp * kWarp; }

void run_block(unsigned index, unsigned blocks, unsigned threads,
               const std::function<void()> &body) {
  blockIdx.x = index;
  gridDim.x = blocks;
  blockDim.x = threads;
  block.body = &body;
  block.words.resize(threads);
  if (block.fibers.size() < threads) block.fibers.resize(threads);
  for (unsigned i = 0; i < threads; i++) {
    block.fibers[i].state = State::kReady;
  }
  bool backwards = false;
  for (bool left = true; left;) {
    // In turns from either end, so that code which lacks a barrier is wrong in one of them.
    for (unsigned i = 0; i < threads; i++) {
      const unsigned thread = backwards ? threads - 1 - i : i;
      if (block.fibers[thread].state == State::kReady) run(thread);
    }
    backwards = !backwards;
    left = false;
    for (unsigned i = 0; i < threads; i++) {
      left = left || block.fibers[i].state != State::kDone;
    }
    bool released = release(0, threads, State::kAtBlock);
    for (unsigned first = 0; first < threads; first += kWarp) {
      released |= release(first, first + kWarp < threads ? first + kWarp : threads, State::kAtWarp);
    }
    if (left && !released) {
      std::fprintf(stderr, "emulation: threads of block %u wait at different barriers\n", index);
      std::abort();
    }
  }
}

}  // namespace emulation
