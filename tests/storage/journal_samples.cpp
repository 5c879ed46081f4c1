#include "tests/storage/journal_samples.hpp"

#include <doctest/doctest.h>

#include <bit>

namespace rubato {

namespace {

template <class T>
T any(std::mt19937_64& random) {
  return static_cast<T>(random());
}

double any_double(std::mt19937_64& random) {
  return random() % 4 == 0 ? std::numeric_limits<double>::quiet_NaN()
                           : std::bit_cast<double>(random());
}

std::chrono::nanoseconds any_time(std::mt19937_64& random) {
  return std::chrono::nanoseconds(any<std::int64_t>(random));
}

std::string any_text(std::mt19937_64& random) {
  std::string text(random() % 20, '\0');
  for (char& letter : text) letter = any<char>(random);
  return text;
}

std::optional<std::uint32_t> any_group(std::mt19937_64& random) {
  if (random() % 3 == 0) return std::nullopt;
  return random() % 2 == 0 ? std::numeric_limits<std::uint32_t>::max() : any<std::uint32_t>(random);
}

assign_record any_assignment(std::mt19937_64& random) {
  assign_record r;
  r.worker = any<std::uint32_t>(random);
  r.incarnation = any<std::uint32_t>(random);
  r.sequence = random();
  r.base_version = random();
  r.group = any_group(random);
  r.shard = any<std::uint32_t>(random);
  r.steps = any<std::uint32_t>(random);
  r.data_position = random();
  r.kind = any<std::uint8_t>(random);
  r.handover = random() % 2 == 0;
  r.rate_start = any<std::int64_t>(random);
  r.rate_total = any<std::int64_t>(random);
  r.rate_warmup = any<std::int64_t>(random);
  r.assigned_at = any_time(random);
  r.download = any_time(random);
  r.compute = any_time(random);
  r.upload = any_time(random);
  r.tokens = any<std::int64_t>(random);
  return r;
}

settle_record any_settlement(std::mt19937_64& random) {
  settle_record r;
  r.work = any_assignment(random);
  r.elements = random();
  r.finite = random() % 2 == 0;
  r.fate = any<std::uint8_t>(random);
  r.codec = any<std::uint8_t>(random);
  r.norm = any_double(random);
  r.loss = any_double(random);
  r.compute_time = any_time(random);
  r.late = any_time(random);
  r.version = random();
  r.staleness = random();
  r.weight = any_double(random);
  r.merge = random();
  r.merge_group = any_group(random);
  r.inner_lr = any_double(random);
  r.settled_at = any_time(random);
  r.cosine_to_momentum = any_double(random);
  r.cosine_to_others = any_double(random);
  return r;
}

}  // namespace

journal_record sample_record::get() const {
  journal_record record = content;
  if (auto* settled = std::get_if<settle_record>(&record)) settled->update = update;
  return record;
}

sample_record random_record(std::mt19937_64& random, std::size_t update_limit) {
  sample_record sample;
  switch (random() % 6) {
    case 0:
      sample.content = join_record{any<std::uint32_t>(random), any<std::uint32_t>(random),
                                   any_time(random), any_text(random)};
      break;
    case 1:
      sample.content =
          fence_record{any<std::uint32_t>(random), any<std::uint32_t>(random), any_time(random)};
      break;
    case 2:
      sample.content = any_assignment(random);
      break;
    case 3:
      sample.content = any_settlement(random);
      sample.update.resize(random() % update_limit);
      for (std::byte& b : sample.update) b = static_cast<std::byte>(random());
      break;
    case 4:
      sample.content = note_record{any_text(random), any_text(random)};
      break;
    default:
      sample.content = end_record{random(), any_time(random)};
  }
  return sample;
}

std::string flat(const journal_record& record) {
  std::vector<std::byte> bytes;
  const byte_span update = encode(record, bytes);
  bytes.insert(bytes.end(), update.begin(), update.end());
  return static_cast<char>('0' + static_cast<int>(type_of(record))) +
         std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

journal_content read_journal(file_system& files, const std::string& folder,
                             std::optional<std::uint64_t> from) {
  journal_reader reader(files, folder, from);
  journal_content content;
  content.first_record = reader.first_record();
  while (const auto entry = reader.next()) {
    REQUIRE(entry->number == content.first_record + content.records.size());
    content.records.push_back(flat(entry->content));
  }
  content.end = reader.end();
  return content;
}

}  // namespace rubato
