// The register of outer methods. To add one: its .cpp file, its two lines here, and its test.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "config/config.hpp"
#include "optim/outer_optimizer.hpp"

namespace rubato {

std::unique_ptr<outer_optimizer> make_sgd(const config::outer_section& outer, std::int64_t workers);
std::unique_ptr<outer_optimizer> make_momentum(const config::outer_section& outer,
                                               std::int64_t workers);
std::unique_ptr<outer_optimizer> make_nesterov(const config::outer_section& outer,
                                               std::int64_t workers);
std::unique_ptr<outer_optimizer> make_delayed_nesterov(const config::outer_section& outer,
                                                       std::int64_t workers);

std::unique_ptr<outer_optimizer> make_adam(const config::outer_section& outer,
                                           std::int64_t workers);
std::unique_ptr<outer_optimizer> make_adamw(const config::outer_section& outer,
                                            std::int64_t workers);
std::unique_ptr<outer_optimizer> make_mixing(const config::outer_section& outer,
                                             std::int64_t workers);
std::unique_ptr<outer_optimizer> make_slowmo(const config::outer_section& outer,
                                             std::int64_t workers);
std::unique_ptr<outer_optimizer> make_lookahead_nesterov(const config::outer_section& outer,
                                                         std::int64_t workers);

struct outer_method {
  std::string_view name;  // of `outer.optimizer`
  std::unique_ptr<outer_optimizer> (*make)(const config::outer_section& outer,
                                           std::int64_t workers);
};

inline constexpr outer_method outer_methods[] = {
    {"sgd", make_sgd},
    {"momentum", make_momentum},
    {"nesterov", make_nesterov},
    {"delayed-nesterov", make_delayed_nesterov},
    {"adam", make_adam},
    {"adamw", make_adamw},
    {"mixing", make_mixing},
    {"slowmo", make_slowmo},
    {"lookahead-nesterov", make_lookahead_nesterov},
};

}  // namespace rubato
