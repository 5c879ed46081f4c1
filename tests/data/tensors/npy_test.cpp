#include "data/tensors/npy.hpp"

#include <doctest/doctest.h>

#include "config/error.hpp"
#include "tests/data/tensors/tensor_files.hpp"

using namespace rubato;
using namespace rubato::test;

namespace {

using shape = std::vector<std::int64_t>;

npy_header read(const std::string& bytes) {
  return read_npy_header("x.npy", as_bytes(bytes));
}

std::string refusal(const std::string& bytes) {
  try {
    read(bytes);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a header says type, shape and where the values begin") {
  const auto file = npy("<f4", "2, 3", std::string(24, 'v'));
  const auto header = read(file);
  CHECK(header.type == element_type::f32);
  CHECK(header.shape == shape{2, 3});
  CHECK(header.begin == file.size() - 24);
  CHECK(read(npy("<i8", "5,", std::string(40, 'v'))).shape == shape{5});
  CHECK(read(npy("<f8", "", std::string(8, 'v'))).shape.empty());
  CHECK(read(npy("<f8", "0, 7", "")).shape == shape{0, 7});
}

TEST_CASE("every type of fixed size that a model can take has its size") {
  for (const auto& [numpy, type, size] :
       {std::tuple("<f8", element_type::f64, 8), std::tuple("<f4", element_type::f32, 4),
        std::tuple("<f2", element_type::f16, 2), std::tuple("<i8", element_type::i64, 8),
        std::tuple("<i4", element_type::i32, 4), std::tuple("<i2", element_type::i16, 2),
        std::tuple("|i1", element_type::i8, 1), std::tuple("|u1", element_type::u8, 1),
        std::tuple("|b1", element_type::boolean, 1)}) {
    CHECK(read(npy(numpy, "3,", std::string(3 * static_cast<std::size_t>(size), 'v'))).type ==
          type);
  }
}

TEST_CASE("the keys may come in any order, with either quote, and versions 2 and 3 are longer") {
  const std::string text = "{\"shape\":(1,),'fortran_order':True , \"descr\":'|u1'}";
  CHECK(read(npy_with_header(text, "v")).shape == shape{1});
  for (const char version : {'\2', '\3'}) {
    const auto file = std::string("\x93NUMPY") + version + '\0' +
                      bytes_of<std::uint32_t>({static_cast<std::uint32_t>(text.size())}) + text +
                      "v";
    CHECK(read(file).begin == file.size() - 1);
  }
}

TEST_CASE("what is no array of such numbers, or not all of it, is refused in words") {
  const std::string eight(8, 'v');
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", "it is no .npy file, or ends within its header"},
      {"PK\3\4 an archive", "it is no .npy file"},
      {npy("<f4", "2,", eight).substr(0, 30), "it is no .npy file, or ends within its header"},
      {std::string("\x93NUMPY\4\0\0\0", 10), "it has version 4 of its format; 1 to 3 are known"},
      {npy("<f4", "3,", eight),
       "its values should have 12 bytes, but there are 8: it has been cut short"},
      {npy("<f4", "1,", eight), "its values should have 4 bytes, but there are 8"},
      {npy("<f4", "9223372036854775807, 4", eight),
       "its values should have more than 2^64 bytes, but there are 8: it has been cut short"},
      {npy("<f4", "9223372036854775808,", eight), "its header is not one that NumPy writes"},
      {npy("<f4", "-2,", eight), "its header is not one that NumPy writes"},
      {npy("<f4", "2", eight), "its header is not one that NumPy writes"},
      {npy("<f4", "2,,", eight), "its header is not one that NumPy writes"},
      {npy_with_header("{'descr': '<f4', 'shape': (2,)}", eight),
       "its header is not one that NumPy writes"},
      {npy_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} {}", eight),
       "its header is not one that NumPy writes"},
      {npy_with_header("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                       eight),
       "its header is not one that NumPy writes"},
      {npy_with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", eight),
       "its elements are of the type of a structure with several fields; supported are <f8, <f4, "
       "<f2, <i8, <i4, <i2, |i1, |u1 and |b1"},
      {npy(">f4", "2,", eight),
       "its elements are of the type >f4; supported are <f8, <f4, <f2, <i8, <i4, <i2, |i1, |u1 "
       "and |b1"},
      {npy_with_header("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 4)}", eight),
       "it is stored column by column; save numpy.ascontiguousarray() of it"},
  };
  for (const auto& [bytes, reason] : table) {
    CHECK(refusal(bytes) == fmt::format("cannot read x.npy: {}", reason));
  }
}
