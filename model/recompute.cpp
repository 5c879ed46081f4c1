#include "model/recompute.hpp"

#include <utility>

#include "model/device.hpp"

namespace rubato {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the backward pass needs besides x.
struct kept_call final : torch::CustomClassHolder {
  kept_call(std::function<torch::Tensor(const torch::Tensor&)> f, processor p)
      : function(std::move(f)), where(p), products(current_precision(p)) {}

  std::function<torch::Tensor(const torch::Tensor&)> function;
  processor where;
  precision products;
};

constexpr const char* call_key = "call";

struct recomputation final : torch::autograd::Function<recomputation> {
  // Autograd has switched itself off for this.
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const c10::intrusive_ptr<kept_call>& call) {
    context->save_for_backward({x});
    context->saved_data[call_key] = c10::IValue::make_capsule(call);
    return call->function(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto capsule = context->saved_data.at(call_key).toCapsule();
    const auto& call = static_cast<const kept_call&>(*capsule);
    const auto x = context->get_saved_variables().front().detach().requires_grad_();
    torch::Tensor y;
    {
      const torch::AutoGradMode on(true);
      const product_precision products(call.products, call.where);
      y = call.function(x);
    }
    // Leaves, such as parameters, get their gradients here.
    torch::autograd::backward({y}, {gradients.front()});
    return {x.grad(), {}};
  }
};

}  // namespace

torch::Tensor recomputed(const torch::Tensor& x,
                         std::function<torch::Tensor(const torch::Tensor&)> function) {
  return recomputation::apply(
      x, c10::make_intrusive<kept_call>(std::move(function), processor_of(x.device())));
}

}  // namespace rubato
