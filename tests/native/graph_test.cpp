// Every kernel, captured in one CUDA graph and replayed: a call that allocated, waited, or used
// another stream would end the capture. The replay's results are those of plain calls.
#include <cuda_runtime.h>

#include "check.hpp"

namespace {

Random draw;

struct Work {
  Padded h = draw.matrix(40, 512, 0, 1, HF_BFLOAT16);
  Padded g = draw.matrix(40, 512, 0, 1, HF_BFLOAT16);
  Padded few = draw.basis(512, 8, 0);
  Padded many = draw.basis(512, 24, 0);
  Padded c = draw.matrix(40, 8, 0, 1);
  Padded z = draw.matrix(6, 4096, 0, 3);
  Padded r = draw.matrix(6, 4096, 0, 3);
  Padded p = draw.matrix(64, 96, 0, 1);
  Padded gradient = draw.matrix(64, 96, 0, 1);
  Padded m = draw.matrix(64, 96, 0, 0);
  Padded v = draw.matrix(64, 96, 0, 0);
  Padded basis = draw.basis(64, 4, 0);
  Guarded ones = guarded(std::vector<float>(40, 1.0F));
  Guarded labels = guarded(std::vector<int64_t>(6, 5));
  Guarded ce{6 * sizeof(float)};
  Guarded kl{6 * sizeof(float)};
  Guarded partials{HF_NORM_PARTIALS * sizeof(double)};
  Guarded norm{sizeof(double)};
  Guarded scratch{1 << 16, 64};

  void queue(void *stream) {
    const hf_row_loss loss = {0.1, 30, HF_KL_FORWARD};
    const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
    hf_adamw_tensor t = {};
    t.parameter = p.view;
    t.gradient = gradient.view;
    t.first_moment = m.view;
    t.second_moment = v.view;
    t.basis = basis.view;
    auto *one = ones.as<float>();
    const auto good = [](int32_t status) { expect(status == HF_OK, hf_last_error()); };
    good(hf_project(&h.view, nullptr, &few.view, &c.view, nullptr, stream));
    good(hf_constrain(&g.view, &h.view, nullptr, &few.view, &c.view, one, one, nullptr, nullptr,
                      stream));
    good(hf_ablate(&h.view, &many.view, nullptr, stream));
    good(hf_ce_kl(&z.view, &r.view, nullptr, 6, labels.as<int64_t>(), one, one, &loss,
                  ce.as<float>(), kl.as<float>(), nullptr, stream));
    good(hf_adamw(&t, 1, &step, scratch.data(), stream));
    good(hf_sum_of_squares(&gradient.view, 1, partials.as<double>(), norm.as<double>(), stream));
  }

  void expect_same(const Work &other) const {
    const auto same = [](const Padded &a, const Padded &b, const char *what) {
      const auto bytes = static_cast<size_t>(a.view.rows * a.view.stride);
      expect(std::memcmp(a.view.data, b.view.data, bytes * element_bytes(a.view.dtype)) == 0, what);
    };
    same(h, other.h, "ablate");
    same(g, other.g, "constrain");
    same(c, other.c, "project");
    same(z, other.z, "rows of logits");
    same(p, other.p, "adamw");
    expect(*norm.as<double>() == *other.norm.as<double>(), "norm");
  }
};

void good(cudaError_t error, const char *what) {
  expect(error == cudaSuccess, std::string(what) + ": " + cudaGetErrorString(error));
}

void replay() {
  Work plain;
  Work captured = plain;
  plain.queue(nullptr);
  good(cudaDeviceSynchronize(), "plain calls");
  cudaStream_t stream = nullptr;
  good(cudaStreamCreate(&stream), "stream");
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  good(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "begin");
  captured.queue(stream);
  good(cudaStreamEndCapture(stream, &graph), "capture");
  good(cudaGraphInstantiate(&ready, graph, 0), "instantiate");
  good(cudaGraphLaunch(ready, stream), "launch");
  good(cudaStreamSynchronize(stream), "replay");
  captured.expect_same(plain);
}

}  // namespace

int main() {
  setenv("CUDA_LAUNCH_BLOCKING", "0", 1);  // a launch that waits cannot be captured
  return run_tests(replay);
}
