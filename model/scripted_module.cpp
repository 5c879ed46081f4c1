#include "model/scripted_module.hpp"

#include <fmt/format.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <sstream>
#include <utility>

#include "config/error.hpp"
#include "model/device.hpp"
#include "model/tensor_of.hpp"

namespace rubato {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;

// -- words ----------------------------------------------------------------------------------------

/// "m.py, line 12" of the last place that a text of LibTorch's names, which is the innermost one of
/// the original source; or nothing.
std::string place_in(const std::string& text) {
  const std::string before = "File \"", between = "\", line ";
  const auto file = text.rfind(before);
  if (file == text.npos) return {};
  const auto begin = file + before.size();
  const auto end = text.find(between, begin);
  if (end == text.npos) return {};
  const auto number = text.substr(end + between.size());
  const auto path = text.substr(begin, end - begin);
  return fmt::format("{}, line {}", path.substr(path.rfind('/') + 1),
                     number.substr(0, number.find_first_not_of("0123456789")));
}

/// What TorchScript says in a dozen lines, in one: what was wrong, and where.
std::string one_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  const std::string marker = "<--- HERE\n", usual = "RuntimeError: ";
  const auto here = text.rfind(marker);
  std::istringstream lines(here == text.npos ? text : text.substr(here + marker.size()));
  std::string words;
  // The rest of the source comes first, indented.
  while (std::getline(lines, words) && (words.empty() || words[0] == ' ')) {
  }
  if (words.rfind(usual, 0) == 0) words.erase(0, usual.size());
  const auto place = place_in(text);
  return place.empty() ? words : fmt::format("{} ({})", words, place);
}

// -- the graph of forward() -----------------------------------------------------------------------

using node_test = std::function<bool(const Node&)>;

const Node* find_node(const Block* block, const node_test& wanted) {
  for (const Node* node : block->nodes()) {
    if (wanted(*node)) return node;
    for (const Block* inner : node->blocks()) {
      if (const auto* found = find_node(inner, wanted)) return found;
    }
    if (node->hasAttribute(torch::jit::attr::Subgraph)) {
      const auto inner = node->g(torch::jit::attr::Subgraph);
      if (const auto* found = find_node(inner->block(), wanted)) return found;
    }
  }
  return nullptr;
}

/// With all that it calls.
std::shared_ptr<Graph> graph_of_forward(const torch::jit::Module& module) {
  auto graph = module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  return graph;
}

/// An argument says, by a constant, that nothing is drawn.
bool is_switched_off(const Node& node, const c10::FunctionSchema& schema) {
  for (std::size_t i = 0; i < std::min(schema.arguments().size(), node.inputs().size()); ++i) {
    const auto& name = schema.arguments()[i].name();
    const auto value = torch::jit::toIValue(node.inputs()[i]);
    if (!value) continue;
    if ((name == "train" || name == "training") && value->isBool() && !value->toBool()) return true;
    if ((name == "p" || name == "dropout" || name == "dropout_p") && value->isDouble() &&
        value->toDouble() == 0.0) {
      return true;
    }
  }
  return false;
}

bool draws_random_numbers(const Node& node) {
  const auto* schema = node.maybeSchema();
  if (schema == nullptr) return false;
  const auto operation = c10::Dispatcher::singleton().findSchema(schema->operator_name());
  return operation && operation->hasTag(at::Tag::nondeterministic_seeded) &&
         !is_switched_off(node, *schema);
}

/// The node sets an attribute of a module that is neither parameter nor buffer.
bool sets_other_attribute(const Node& node) {
  if (node.kind() != torch::jit::prim::SetAttr) return false;
  const auto type = node.inputs()[0]->type()->cast<c10::ClassType>();
  if (!type || !type->is_module()) return false;
  return !type->is_buffer(type->getAttributeSlot(node.s(torch::jit::attr::name)));
}

/// "aten::dropout (m.py, line 12)": what was found, and its place in the original source.
std::string with_place(const std::string& what, const Node& node) {
  const auto original = node.sourceRange().findSourceRangeThatGenerated();
  const auto place = (original ? *original : node.sourceRange()).file_line_col();
  if (!place) return what;
  const auto& [path, line, column] = *place;
  return fmt::format("{} ({}, line {})", what, path.substr(path.rfind('/') + 1), line);
}

// -- values ---------------------------------------------------------------------------------------

torch::Tensor loss_of(const c10::IValue& value) {
  if (!value.isTensor()) {
    throw run_error(fmt::format(
        "forward() must return the loss, a scalar tensor, or with it a dictionary of metrics; it "
        "returns {}",
        value.type()->repr_str()));
  }
  const auto loss = value.toTensor();
  if (loss.dim() != 0 || !loss.is_floating_point()) {
    throw run_error(fmt::format(
        "forward() must return a scalar loss, such as a mean; it returns {} of shape [{}]",
        c10::toString(loss.scalar_type()), fmt::join(loss.sizes(), ", ")));
  }
  return loss;
}

/// Nothing for what is no number.
std::optional<double> number_in(const c10::IValue& value) {
  if (value.isDouble()) return value.toDouble();
  if (value.isInt()) return static_cast<double>(value.toInt());
  if (value.isTensor() && value.toTensor().numel() == 1) {
    return value.toTensor().item().toDouble();
  }
  return std::nullopt;
}

/// The numbers of a dictionary, without its loss.
std::map<std::string, double> metrics_in(const c10::IValue& value) {
  std::map<std::string, double> metrics;
  if (!value.isGenericDict()) {
    throw run_error(
        fmt::format("forward() must return (loss, dictionary of metrics); the second is {}",
                    value.type()->repr_str()));
  }
  for (const auto& entry : value.toGenericDict()) {
    if (!entry.key().isString()) throw run_error("the names of metrics must be strings");
    const auto& name = entry.key().toStringRef();
    if (name == "loss") continue;
    const auto number = number_in(entry.value());
    if (!number) throw run_error(fmt::format("the metric \"{}\" must be one number", name));
    metrics[name] = *number;
  }
  return metrics;
}

scripted_result result_in(const c10::IValue& value) {
  if (value.isTuple()) {
    const auto& elements = value.toTupleRef().elements();
    if (elements.size() != 2) {
      throw run_error(
          fmt::format("forward() must return (loss, dictionary of metrics), but returns {} values",
                      elements.size()));
    }
    return {loss_of(elements[0]), metrics_in(elements[1])};
  }
  if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      if (entry.key().isString() && entry.key().toStringRef() == "loss") {
        return {loss_of(entry.value()), metrics_in(value)};
      }
    }
    throw run_error("forward() returns a dictionary without \"loss\"");
  }
  return {loss_of(value), {}};
}

bool share_memory(const torch::Tensor& a, const torch::Tensor& b) {
  return a.numel() > 0 && b.numel() > 0 && a.has_storage() && b.has_storage() &&
         a.storage().unsafeGetStorageImpl() == b.storage().unsafeGetStorageImpl();
}

bool are_one(const torch::Tensor& a, const torch::Tensor& b) {
  return a.is_same(b) || (share_memory(a, b) && a.storage_offset() == b.storage_offset() &&
                          a.sizes() == b.sizes() && a.strides() == b.strides());
}

}  // namespace

scripted_module::scripted_module(const std::string& path, const std::string& file,
                                 torch::Device device)
    : path_(path), device_(device) {
  const auto refuse = [&path](const std::string& reason) {
    throw usage_error(fmt::format("model.path: {}: {}", path, reason));
  };
  try {
    std::istringstream stream(file);
    module_ = torch::jit::load(stream, device);
  } catch (const std::exception& error) {
    refuse(fmt::format("it is no file that torch.jit.save() has written: {}", one_line(error)));
  }
  if (!module_.find_method("forward")) refuse("the module has no forward()");

  const auto add = [&](const std::string& prefix, const torch::jit::Module& owner,
                       const std::string& attribute, const torch::Tensor& tensor, bool trainable) {
    if (!tensor.defined()) return;
    const auto name = prefix.empty() ? attribute : prefix + "." + attribute;
    for (const auto& other : slots_) {
      if (are_one(other.tensor, tensor)) return;
      if ((trainable || other.trainable) && share_memory(other.tensor, tensor)) {
        refuse(fmt::format("{} and {} share memory in part, so that they cannot be trained apart",
                           other.name, name));
      }
    }
    if (trainable && tensor.scalar_type() != torch::kFloat) {
      refuse(fmt::format("the parameter {} is of the type {}; those that are trained must be Float",
                         name, c10::toString(tensor.scalar_type())));
    }
    slots_.push_back({name, tensor, trainable, owner, attribute});
  };
  for (const auto& part : module_.named_modules()) {
    for (const auto& p : part.value.named_parameters(/*recurse=*/false)) {
      add(part.name, part.value, p.name, p.value, p.value.requires_grad());
    }
    for (const auto& b : part.value.named_buffers(/*recurse=*/false)) {
      add(part.name, part.value, b.name, b.value, false);
    }
  }
  if (std::none_of(slots_.begin(), slots_.end(), [](const auto& s) { return s.trainable; })) {
    refuse("it has no parameters to train; was it frozen before it was saved?");
  }
  c10::IValue(module_._ivalue()).visit([this](const c10::IValue& value) {
    if (value.isTensor() && value.toTensor().defined()) tensors_.push_back(value.toTensor());
    return false;
  });
}

void scripted_module::move(std::size_t slot, const torch::Tensor& place,
                           const torch::Tensor& gradient) {
  const torch::NoGradGuard no_gradient;
  const auto from = slots_[slot].tensor;
  place.copy_(from);
  std::vector<torch::Tensor> aliases;  // found before the first of them is moved
  for (const auto& tensor : tensors_) {
    if (are_one(tensor, from)) aliases.push_back(tensor);
  }
  for (auto& tensor : aliases) {
    tensor.set_data(place);
    if (gradient.defined() && tensor.requires_grad()) tensor.mutable_grad() = gradient;
  }
}

std::size_t scripted_module::inputs() const {
  const auto& arguments = module_.get_method("forward").function().getSchema().arguments();
  const auto needed = std::count_if(arguments.begin(), arguments.end(),
                                    [](const auto& a) { return !a.default_value(); });
  return static_cast<std::size_t>(needed) - 1;  // without self
}

void scripted_module::set_training(bool on) {
  if (training_ == on) return;
  module_.train(on);
  training_ = on;
}

scripted_result scripted_module::forward(const batch& b) {
  std::vector<c10::IValue> inputs;
  c10::IValue returned;
  try {
    for (const auto& values : b.tensors) inputs.emplace_back(on_device(tensor_of(values), device_));
    const torch::jit::GraphOptimizerEnabledGuard plain(false);
    returned = module_.forward(std::move(inputs));
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw run_error(fmt::format("model.path: {}: {}", path_, one_line(error)));
  }
  try {
    return result_in(returned);
  } catch (const run_error& error) {
    throw run_error(fmt::format("model.path: {}: {}", path_, error.what()));
  }
}

std::string scripted_module::random_operation() const {
  const auto graph = graph_of_forward(module_);
  const auto* found = find_node(graph->block(), draws_random_numbers);
  if (found == nullptr) return {};
  return with_place(found->kind().toUnqualString(), *found);
}

std::string scripted_module::changed_attribute() const {
  const auto graph = graph_of_forward(module_);
  const auto* found = find_node(graph->block(), sets_other_attribute);
  if (found == nullptr) return {};
  return with_place(found->s(torch::jit::attr::name), *found);
}

std::string scripted_module::save() const {
  std::ostringstream stream;
  if (device_.is_cpu()) {
    module_.save(stream);
  } else {
    auto copy = module_.deepcopy();
    copy.to(torch::kCPU);
    copy.save(stream);
  }
  return stream.str();
}

}  // namespace rubato
