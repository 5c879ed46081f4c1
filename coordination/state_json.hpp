// The words of a run as JSON: what classes of this folder and the server say about their state when
// it is saved, and read when it is restored. Stored as CBOR, which keeps every double, NaN too.
// Not for people, and not a contract: only who wrote it reads it.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "coordination/types.hpp"

namespace nlohmann {

template <>
struct adl_serializer<std::chrono::nanoseconds> {
  static void to_json(json& j, std::chrono::nanoseconds time) { j = time.count(); }
  static void from_json(const json& j, std::chrono::nanoseconds& time) {
    time = std::chrono::nanoseconds(j.get<std::int64_t>());
  }
};

template <class T>
struct adl_serializer<std::optional<T>> {
  static void to_json(json& j, const std::optional<T>& value) {
    j = value ? json(*value) : json(nullptr);
  }
  static void from_json(const json& j, std::optional<T>& value) {
    value = j.is_null() ? std::nullopt : std::optional<T>(j.get<T>());
  }
};

}  // namespace nlohmann

namespace rubato {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(update_id, worker, incarnation, sequence)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(rate_span, start, total, warmup)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(round_timing, download, compute, upload)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(assignment, id, base_version, shard, data_position, steps, kind,
                                   handover, rates, assigned_at, timing)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(arrival, id, base_version, elements, finite, norm, loss,
                                   compute_time, late)

}  // namespace rubato
