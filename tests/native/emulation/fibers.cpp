#include <cuda_runtime.h>
#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <vector>

dim3 threadIdx, blockIdx, gridDim, blockDim;

namespace emulation {
namespace {

// The compiler's own, where it has them, save three registers and not the whole set.
#if defined(__x86_64__) && !defined(__clang__)
using Place = void *[5];
#define MARK(place) __builtin_setjmp(place)
[[noreturn, gnu::noinline]] void go_to(Place &place) { __builtin_longjmp(place, 1); }
#else
using Place = jmp_buf;
#define MARK(place) _setjmp(place)
[[noreturn]] void go_to(Place &place) { _longjmp(place, 1); }
#endif

constexpr size_t kStack = 256 * 1024;
constexpr unsigned kWarp = 32;

enum class State { kReady, kAtBlock, kAtWarp, kDone };

// A fiber lives as long as the program and runs one block's thread after another. It is started
// with setcontext and switched with longjmp, which unlike the former makes no system call.
struct Fiber {
  ucontext_t context;
  Place place;
  bool started = false;
  std::vector<char> stack = std::vector<char>(kStack);
  State state = State::kDone;
  unsigned exchanges = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<uint64_t> words;
  Place scheduler;
  const std::function<void()> *body = nullptr;
};

Block block;

Fiber &running() { return block.fibers[threadIdx.x]; }

[[gnu::noinline]] void wait(State state) {
  Fiber &fiber = running();
  fiber.state = state;
  if (MARK(fiber.place) == 0) go_to(block.scheduler);
}

void fiber_main() {
  while (true) {
    (*block.body)();
    wait(State::kDone);
  }
}

[[gnu::noinline]] void run(unsigned thread) {
  threadIdx.x = thread;
  Fiber &fiber = block.fibers[thread];
  if (MARK(block.scheduler) != 0) return;
  if (fiber.started) go_to(fiber.place);
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

uint64_t *warp_words() {
  const unsigned set = running().exchanges++ % 2;
  return block.words.data() + (threadIdx.x / kWarp * 2 + set) * kWarp;
}

void run_block(unsigned index, unsigned blocks, unsigned threads,
               const std::function<void()> &body) {
  blockIdx.x = index;
  gridDim.x = blocks;
  blockDim.x = threads;
  block.body = &body;
  block.words.resize((threads + kWarp - 1) / kWarp * 2 * kWarp);
  if (block.fibers.size() < threads) block.fibers.resize(threads);
  for (unsigned i = 0; i < threads; i++) {
    block.fibers[i].state = State::kReady;
    block.fibers[i].exchanges = 0;
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
