#include "transfer/buffer_coding.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "config/random.hpp"
#include "optim/merger.hpp"
#include "tests/each_instruction_set.hpp"

using namespace rubato;

namespace {

constexpr codec all_codecs[] = {codec::f32, codec::bf16, codec::int8, codec::int4};

parameter_layout make_layout() {
  parameter_layout layout;
  layout.add("weight", {10, 31});
  layout.add("bias", {5});
  layout.add("variance", {7}, section::averaged);
  layout.add("own", {3}, section::local);
  return layout;
}

struct random_buffer : parameter_buffer {
  random_buffer(const parameter_layout& layout, std::uint64_t seed)
      : parameter_buffer(layout.size()) {
    random_generator random(seed, random_stream::test);
    for (const auto& tensor : layout.tensors()) {
      for (std::size_t i = 0; i < tensor.size; ++i) {
        data()[tensor.offset + i] = static_cast<float>(random.normal());
      }
    }
  }
};

byte_span bytes_of(const parameter_buffer& buffer) {
  return std::as_bytes(buffer.span());
}

}  // namespace

TEST_CASE("the bytes are those of the trainable section in the codec and of the averaged in f32") {
  const auto layout = make_layout();
  // 310 + 10 of padding and 5 + 11; then 7 + 9.
  CHECK(encoded_size(codec::f32, layout) == 336 * 4 + 16 * 4);
  CHECK(encoded_size(codec::bf16, layout) == 336 * 2 + 16 * 4);
  CHECK(encoded_size(codec::int8, layout) == 2 * 132 + (4 + 80) + 16 * 4);
  CHECK(encoded_size(codec::int4, layout) == 2 * 68 + (4 + 40) + 16 * 4);
  for (const codec c : all_codecs) CHECK(encoded_floats(c, layout) * 4 == encoded_size(c, layout));
}

TEST_CASE("an update comes out as its codec has it, averaged tensors exact and local ones zero") {
  const auto layout = make_layout();
  const random_buffer update(layout, 1);
  const std::size_t coded = layout.end(section::trainable);
  const std::size_t shared = layout.end(section::averaged);
  for (const codec c : all_codecs) {
    parameter_buffer bytes(encoded_floats(c, layout));
    random_buffer kept(layout, 2);  // recycled: with old values
    encode_update(c, layout, update, nullptr, kept, bytes);
    random_buffer out(layout, 3);
    decode_update(c, layout, bytes_of(bytes), out);

    std::vector<std::byte> expected_bytes(encoded_size(c, coded));
    encode(c, update.span().first(coded), expected_bytes);
    std::vector<float> expected(coded);
    decode(c, expected_bytes, expected);
    for (std::size_t i = 0; i < layout.size(); ++i) {
      const float in = update.data()[i];
      const float value = i < coded ? expected[i] : i < shared ? in : 0.0F;
      REQUIRE(out.data()[i] == value);
      REQUIRE(kept.data()[i] == (i < coded ? in - expected[i] : 0.0F));
    }

    // With what was kept the next one makes up for it.
    parameter_buffer again(layout.size());
    encode_update(c, layout, update, &kept, again, bytes);
    decode_update(c, layout, bytes_of(bytes), out);
    for (std::size_t i = 0; i < coded; ++i) {
      const float wanted = update.data()[i] + kept.data()[i];
      REQUIRE(out.data()[i] + again.data()[i] == doctest::Approx(wanted).epsilon(1e-6));
    }
  }
}

TEST_CASE("a part of an update comes out as in the whole") {
  const auto layout = make_layout();
  const random_buffer update(layout, 1);
  const std::size_t coded = layout.end(section::trainable);
  const std::size_t shared = layout.end(section::averaged);
  for (const codec c : all_codecs) {
    parameter_buffer bytes(encoded_floats(c, layout));
    parameter_buffer kept(layout.size());
    encode_update(c, layout, update, nullptr, kept, bytes);
    parameter_buffer whole(layout.size());
    decode_update(c, layout, bytes_of(bytes), whole);
    std::vector<float> out;
    const auto part = [&](std::size_t first, std::size_t last) {
      out.assign(last - first, 0.0F);
      decode_part(c, layout, bytes_of(bytes), first, out);
      return std::memcmp(out.data(), whole.data() + first, out.size() * sizeof(float)) == 0;
    };
    CHECK(part(0, coded));
    CHECK(part(0, block_values));
    CHECK(part(block_values, 2 * block_values));
    CHECK(part(2 * block_values, coded));
    CHECK(part(coded, shared));
    CHECK(part(coded + 3, coded + 5));
    CHECK_THROWS_AS(part(1, coded), std::invalid_argument);
    CHECK_THROWS_AS(part(0, block_values + 1), std::invalid_argument);
    CHECK_THROWS_AS(part(2 * block_values, shared), std::invalid_argument);
    CHECK_THROWS_AS(part(coded, shared + 1), std::invalid_argument);
  }
}

TEST_CASE("an update decoded block by block in a merge gives the bits of one decoded before") {
  // Longer than a block of a merge, with an end within a block of the codec.
  parameter_layout layout;
  layout.add("weight", {3 * static_cast<std::int64_t>(merge_block_size) + 80});
  const auto start = std::make_shared<random_buffer>(layout, 1);
  const auto update = std::make_shared<random_buffer>(layout, 2);
  parameter_buffer kept(layout.size());
  for (const codec c : all_codecs) {
    std::vector<version_ptr> results;
    parameter_buffer bytes(encoded_floats(c, layout));
    encode_update(c, layout, *update, nullptr, kept, bytes);
    const auto decoded = std::make_shared<parameter_buffer>(layout.size());
    decode_update(c, layout, bytes_of(bytes), *decoded);
    const merge_input before{decoded, nullptr, 0.7};
    merge_input on_the_way{nullptr, nullptr, 0.7};
    on_the_way.read = [&](std::size_t first, std::span<float> out) {
      decode_part(c, layout, bytes_of(bytes), first, out);
    };
    in_each_instruction_set([&] {
      for (const merge_input& input : {before, on_the_way}) {
        results.push_back(merger(layout, config()).merge(start, std::span(&input, 1), 0.0));
        REQUIRE(std::memcmp(results.back()->data(), results.front()->data(),
                            layout.size() * sizeof(float)) == 0);
      }
    });
  }
}

TEST_CASE("a version comes out as its form has it, averaged tensors exact") {
  const auto layout = make_layout();
  const random_buffer version(layout, 1);
  const random_buffer known(layout, 2);
  const std::size_t coded = layout.end(section::trainable);
  const std::size_t shared = layout.end(section::averaged);
  for (const version_form form : {version_form{codec::bf16, false}, version_form{codec::int8, true},
                                  version_form{codec::int4, true}}) {
    parameter_buffer bytes(encoded_floats(form.how, layout));
    const parameter_buffer* base = form.difference ? &known : nullptr;
    encode_version(form, layout, version, base, bytes);
    parameter_buffer out(layout.size());
    decode_version(form, layout, bytes_of(bytes), base, out);
    std::vector<std::byte> coded_bytes(encoded_size(form.how, coded));
    encode_version(form, version.span().first(coded), known.span().first(coded), coded_bytes);
    std::vector<float> expected(coded);
    decode_version(form, coded_bytes, known.span().first(coded), expected);
    CHECK(std::memcmp(out.data(), expected.data(), coded * sizeof(float)) == 0);
    CHECK(std::memcmp(out.data() + coded, version.data() + coded,
                      (shared - coded) * sizeof(float)) == 0);
  }
}

TEST_CASE("buffers and bytes of another size are refused") {
  const auto layout = make_layout();
  const random_buffer update(layout, 1);
  parameter_buffer kept(layout.size());
  parameter_buffer small(layout.size() - 16);
  parameter_buffer bytes(encoded_floats(codec::int8, layout));
  parameter_buffer short_bytes(bytes.size() - 1);
  const auto encode = [&](const parameter_buffer& from, const parameter_buffer* residual,
                          parameter_buffer& rest, parameter_buffer& to) {
    encode_update(codec::int8, layout, from, residual, rest, to);
  };
  encode(update, &kept, kept, bytes);
  CHECK_THROWS_AS(encode(small, &kept, kept, bytes), std::invalid_argument);
  CHECK_THROWS_AS(encode(update, &small, kept, bytes), std::invalid_argument);
  CHECK_THROWS_AS(encode(update, &kept, small, bytes), std::invalid_argument);
  CHECK_THROWS_AS(encode(update, &kept, kept, short_bytes), std::invalid_argument);
  CHECK_THROWS_AS(decode_update(codec::int8, layout, bytes_of(short_bytes), kept),
                  std::invalid_argument);
  CHECK_THROWS_AS(decode_update(codec::int8, layout, bytes_of(bytes), small),
                  std::invalid_argument);
}
