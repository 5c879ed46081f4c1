#include "optim/compensation.hpp"

#include <cmath>

#include "config/error.hpp"
#include "config/instruction_set.hpp"

namespace rubato {

namespace {

constexpr float epsilon = 1e-7F;  // DC-ASGD-a's, against a division by zero

}  // namespace

compensation::compensation(const config::staleness_section& staleness, std::size_t size)
    : active_(staleness.compensation != "none" && staleness.compensation_strength != 0.0),
      lambda_(static_cast<float>(staleness.compensation_strength)),
      keep_(static_cast<float>(staleness.compensation_decay)),
      rest_(static_cast<float>(1.0 - staleness.compensation_decay)) {
  const auto& kind = staleness.compensation;
  if (kind != "none" && kind != "constant" && kind != "adaptive") {
    throw usage_error("staleness.compensation = \"" + kind +
                      "\" is not known; it must be one of none, constant, adaptive");
  }
  if (active_ && kind == "adaptive") mean_square_ = std::make_shared<parameter_buffer>(size);
}

void compensation::apply(std::size_t first, std::span<const float> theta,
                         std::span<const float> base, std::span<float> g) {
  if (!active_) return;
  if (mean_square_ == nullptr) {
    vectorised([=, lambda = lambda_] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < g.size(); ++i) {
        g[i] += lambda * (g[i] * g[i]) * (theta[i] - base[i]);
      }
    });
    return;
  }
  const auto s = mean_square_->span().subspan(first, g.size());
  vectorised([=, lambda = lambda_, keep = keep_, rest = rest_] {
    RUBATO_ELEMENTWISE
    for (std::size_t i = 0; i < g.size(); ++i) {
      s[i] = keep * s[i] + rest * (g[i] * g[i]);
      g[i] += lambda / std::sqrt(s[i] + epsilon) * (g[i] * g[i]) * (theta[i] - base[i]);
    }
  });
}

}  // namespace rubato
