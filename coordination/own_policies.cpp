#include "coordination/own_policies.hpp"

#include <utility>

namespace rubato {
namespace {

registry<quota_rule_maker>& quota_rules() {
  static registry<quota_rule_maker> all("quota.policy");
  return all;
}

registry<staleness_rule_maker>& staleness_rules() {
  static registry<staleness_rule_maker> all("staleness.weight");
  return all;
}

}  // namespace

void register_quota_rule(const own_choice& choice, quota_rule_maker make) {
  quota_rules().add(choice, std::move(make));
}

void register_staleness_rule(const own_choice& choice, staleness_rule_maker make) {
  staleness_rules().add(choice, std::move(make));
}

quota_rule make_quota_rule(const config& c) {
  const auto* make = quota_rules().find(c.quota.policy);
  return make != nullptr ? (*make)(c) : quota_rule();
}

staleness_rule make_staleness_rule(const config& c) {
  const auto* make = staleness_rules().find(c.staleness.weight);
  return make != nullptr ? (*make)(c) : staleness_rule();
}

}  // namespace rubato
