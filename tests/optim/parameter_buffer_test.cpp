#include "optim/parameter_buffer.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "config/error.hpp"
#include "tests/storage/file_size_limit.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

parameter_layout mixed_layout() {
  parameter_layout layout;
  layout.add("weight", {3, 7});
  layout.add("running_mean", {5}, section::averaged);
  layout.add("scratch", {2}, section::local);
  layout.add("bias", {16});
  layout.add("running_count", {}, section::averaged);
  layout.add("empty", {0, 4});
  return layout;
}

}  // namespace

TEST_CASE("a layout keeps the sections apart and the order within each") {
  const auto layout = mixed_layout();
  std::vector<std::string> names;
  for (const tensor_entry& tensor : layout.tensors()) names.push_back(tensor.name);
  CHECK(names == std::vector<std::string>{"weight", "bias", "empty", "running_mean",
                                          "running_count", "scratch"});
}

TEST_CASE("every tensor of a layout starts on 64 bytes, right behind the one before") {
  const auto layout = mixed_layout();
  std::vector<std::size_t> offsets;
  std::vector<std::size_t> sizes;
  for (const tensor_entry& tensor : layout.tensors()) {
    offsets.push_back(tensor.offset);
    sizes.push_back(tensor.size);
  }
  CHECK(sizes == std::vector<std::size_t>{21, 16, 0, 5, 1, 2});
  CHECK(offsets == std::vector<std::size_t>{0, 32, 48, 48, 64, 80});
}

TEST_CASE("counts leave padding out, ends include it") {
  const auto layout = mixed_layout();
  CHECK(layout.count(section::trainable) == 37);
  CHECK(layout.count(section::averaged) == 6);
  CHECK(layout.count(section::local) == 2);
  CHECK(layout.end(section::trainable) == 48);
  CHECK(layout.end(section::averaged) == 80);
  CHECK(layout.size() == 96);

  const parameter_layout empty;
  CHECK(empty.count(section::trainable) == 0);
  CHECK(empty.size() == 0);
}

TEST_CASE("a section without tensors ends where the one before it ends") {
  parameter_layout layout;
  layout.add("weight", {3});
  CHECK(layout.end(section::trainable) == 16);
  CHECK(layout.end(section::averaged) == 16);
  CHECK(layout.end(section::local) == 16);
}

TEST_CASE("layouts are equal when names, shapes, sections and places are") {
  CHECK(mixed_layout() == mixed_layout());
  auto longer = mixed_layout();
  longer.add("more", {1});
  CHECK_FALSE(longer == mixed_layout());

  parameter_layout matrix;
  matrix.add("weight", {2, 3});
  parameter_layout transposed;
  transposed.add("weight", {3, 2});
  parameter_layout averaged;
  averaged.add("weight", {2, 3}, section::averaged);
  CHECK_FALSE(matrix == transposed);
  CHECK_FALSE(matrix == averaged);
}

TEST_CASE("a layout refuses repeated names, negative extents and sizes that overflow") {
  auto layout = mixed_layout();
  const auto before = layout;
  const auto huge = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS_AS(layout.add("bias", {1}), std::invalid_argument);
  CHECK_THROWS_AS(layout.add("bias", {1}, section::local), std::invalid_argument);
  CHECK_THROWS_AS(layout.add("negative", {-1, 2}), std::invalid_argument);
  CHECK_THROWS_AS(layout.add("huge", {huge}), std::invalid_argument);
  CHECK_THROWS_AS(layout.add("huge", {huge, huge, huge}), std::invalid_argument);
  // The largest that a tensor alone could have, but not behind others.
  CHECK_THROWS_AS(layout.add("huge", {huge / 4}), std::invalid_argument);
  CHECK(layout == before);
}

TEST_CASE("a buffer is aligned to 64 bytes and zero") {
  for (const std::size_t size : {0, 1, 16, 1000, 100003}) {
    const parameter_buffer buffer(size);
    CHECK(buffer.size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    CHECK(std::count(buffer.span().begin(), buffer.span().end(), 0.0F) ==
          static_cast<std::ptrdiff_t>(size));
  }
  CHECK_THROWS_AS(parameter_buffer{std::numeric_limits<std::size_t>::max()}, std::bad_alloc);
}

TEST_CASE("a pool hands a returned buffer out again, and grows only when none is free") {
  buffer_pool pool(100);
  CHECK(pool.buffer_size() == 100);
  CHECK(pool.allocated() == 0);
  auto first = pool.take();
  auto second = pool.take();
  CHECK(first->size() == 100);
  CHECK(first != second);
  CHECK(pool.allocated() == 2);

  const float* place = first->data();
  version_ptr reader = first;
  first.reset();
  CHECK(pool.take()->data() != place);  // still read
  CHECK(pool.allocated() == 3);

  reader.reset();
  CHECK(pool.take()->data() == place);
  CHECK(pool.allocated() == 3);
}

TEST_CASE("buffers outlive their pool") {
  std::optional<buffer_pool> pool(std::in_place, 100);
  auto kept = pool->take();
  pool->take().reset();
  kept->data()[99] = 7.0F;
  pool.reset();
  CHECK(kept->data()[99] == 7.0F);
  kept.reset();
}

TEST_CASE("threads that share a pool never hold the same buffer") {
  constexpr int threads = 4;
  buffer_pool pool(64);
  std::vector<int> clashes(threads, 0);
  std::vector<std::thread> running;
  for (int id = 0; id < threads; ++id) {
    running.emplace_back([&pool, &clashes, id] {
      for (int round = 0; round < 500; ++round) {
        const auto buffer = pool.take();
        const auto mine = static_cast<float>(id);
        std::fill_n(buffer->data(), buffer->size(), mine);
        std::this_thread::yield();
        const auto left = std::count(buffer->span().begin(), buffer->span().end(), mine);
        if (left != static_cast<std::ptrdiff_t>(buffer->size())) ++clashes[id];
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  CHECK(clashes == std::vector<int>(threads, 0));
  CHECK(pool.allocated() <= threads);
}

TEST_CASE("a buffer in a file is like one in memory, and leaves nothing behind") {
  const temporary_folder folder;
  for (const std::size_t size : {0, 1, 5'000}) {
    parameter_buffer buffer(size, folder.path().string());
    CHECK(std::filesystem::is_empty(folder.path()));  // while it is there: it has no name
    CHECK(buffer.size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    const auto values = buffer.span();
    CHECK(std::all_of(values.begin(), values.end(), [](float x) { return x == 0.0F; }));
    for (std::size_t i = 0; i < size; ++i) values[i] = 1.0F / static_cast<float>(i + 1);
    buffer.let_go();
    buffer.will_need();
    bool same = true;
    for (std::size_t i = 0; i < size; ++i) same &= values[i] == 1.0F / static_cast<float>(i + 1);
    CHECK(same);
    const auto copy = copy_of(buffer);
    CHECK(std::equal(values.begin(), values.end(), copy->data(), copy->data() + size));
  }
}

TEST_CASE("a file that does not fit, or that a folder does not take, is an error in one line") {
  const temporary_folder folder;
  const auto error_of = [](std::size_t size, const std::string& where) -> std::string {
    try {
      const parameter_buffer buffer(size, where);
    } catch (const run_error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(error_of(1, folder.file("missing")) ==
        fmt::format("cannot keep 4 bytes in a file in {}, as inner.state_files wants: No "
                    "such file or directory; make room there, or set TMPDIR to a folder on another "
                    "disk",
                    folder.file("missing")));
  const file_size_limit limit(65536);
  CHECK(error_of(16384, folder.path().string()) == "");
  CHECK(error_of(16385, folder.path().string()).find(": File too large; make room there") !=
        std::string::npos);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("buffers of a pool can lie in files") {
  const temporary_folder folder;
  CHECK_THROWS_AS(buffer_pool(16, folder.file("missing")).take(), run_error);
  buffer_pool pool(16, folder.path().string());
  pool.take()->data()[0] = 1.0F;
  CHECK(pool.take()->data()[0] == 1.0F);
  CHECK(pool.allocated() == 1);
}

TEST_CASE("the hash of one tensor is SHA-256 of its bytes") {
  parameter_layout layout;
  layout.add("weight", {5});
  parameter_buffer buffer(layout.size());
  const float values[] = {1.0F, -2.5F, 0.0F, -0.0F, 3e-39F};
  std::copy(std::begin(values), std::end(values), buffer.data());
  // hashlib.sha256(struct.pack("<5f", 1.0, -2.5, 0.0, -0.0, 3e-39)).hexdigest()
  CHECK(parameters_sha256(layout, buffer.span()) ==
        "a294e046d5d41cb5c78ba3b8d3bd922274c2993bf739d5e9d57cabb4792748ef");
  CHECK(parameters_sha256({}, {}) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("the hash covers trainable and averaged tensors, neither local ones nor padding") {
  parameter_layout layout;
  layout.add("mean", {2}, section::averaged);
  layout.add("scratch", {9}, section::local);
  layout.add("weight", {3});
  parameter_buffer buffer(layout.size());
  const auto fill = [&](float padding, float local) {
    std::fill_n(buffer.data(), buffer.size(), padding);
    for (const tensor_entry& tensor : layout.tensors()) {
      float next = tensor.name == "weight" ? 1.0F : 4.0F;
      for (std::size_t i = 0; i < tensor.size; ++i) {
        buffer.data()[tensor.offset + i] = tensor.part == section::local ? local : next++;
      }
    }
  };
  // hashlib.sha256(struct.pack("<5f", 1, 2, 3, 4, 5)).hexdigest()
  const std::string expected = "0f0fcd7ac25b46f0b354529ced3e25ccbecce8a2303030a929c224c8a60a3a2e";
  fill(0.0F, 0.0F);
  CHECK(parameters_sha256(layout, buffer.span()) == expected);
  fill(123.0F, 456.0F);
  CHECK(parameters_sha256(layout, buffer.span()) == expected);
  CHECK(parameters_sha256(layout, buffer.span().first(layout.end(section::averaged))) == expected);

  buffer.data()[layout.tensors().at(1).offset] = 4.5F;
  CHECK(parameters_sha256(layout, buffer.span()) != expected);
  CHECK_THROWS_AS(parameters_sha256(layout, buffer.span().first(31)), std::invalid_argument);
}
