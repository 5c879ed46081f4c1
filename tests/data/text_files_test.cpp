#include "data/text_files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/data/temporary_folder.hpp"

using rubato::find_files;
using rubato::paths_of_shard;
using rubato::read_file;
using rubato::shard_name;
using rubato::test::temporary_folder;

namespace fs = std::filesystem;

namespace {

using names = std::vector<std::string>;

// The files found, relative to the folder.
names found(const temporary_folder& folder, const names& entries) {
  names result;
  for (const auto& path : find_files(entries, paths_of_shard(0))) {
    result.push_back(path.lexically_relative(folder.string()).string());
  }
  return result;
}

std::string error_of(const names& entries, std::size_t shard = 0) {
  try {
    find_files(entries, paths_of_shard(shard));
  } catch (const rubato::usage_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("files, folders and patterns can be mixed, and each file counts once") {
  const temporary_folder folder;
  for (const auto* name : {"a.txt", "b.txt", "c.md", "sub/d.txt", "sub/deep/e.txt", ".hidden"}) {
    folder.write(name, "text");
  }
  folder.write("empty.txt", "");
  CHECK(found(folder, {folder / "c.md"}) == names{"c.md"});
  CHECK(found(folder, {folder / "sub"}) == names{"sub/d.txt", "sub/deep/e.txt"});
  CHECK(found(folder, {folder / "sub/"}) == names{"sub/d.txt", "sub/deep/e.txt"});
  CHECK(found(folder, {folder / "*.txt"}) == names{"a.txt", "b.txt"});
  CHECK(found(folder, {folder / "[ac].*"}) == names{"a.txt", "c.md"});
  CHECK(found(folder, {folder / "s*"}) == names{"sub/d.txt", "sub/deep/e.txt"});
  CHECK(found(folder, {folder.string()}) ==
        names{".hidden", "a.txt", "b.txt", "c.md", "sub/d.txt", "sub/deep/e.txt"});
  CHECK(found(folder, {folder / "a.txt", folder / "?.txt", folder / "sub/../a.txt"}) ==
        names{"a.txt", "b.txt"});
}

TEST_CASE("a file whose name looks like a pattern is found by its name") {
  const temporary_folder folder;
  folder.write("draft[1].txt", "text");
  folder.write("draft1.txt", "text");
  CHECK(found(folder, {folder / "draft[1].txt"}) == names{"draft[1].txt"});
}

TEST_CASE("links to files are followed and links to folders are not, so that cycles do not hang") {
  const temporary_folder folder;
  const temporary_folder elsewhere;
  folder.write("texts/a.txt", "text");
  fs::create_symlink(elsewhere.write("b.txt", "text"), folder / "texts/link.txt");
  fs::create_directory_symlink(folder / "texts", folder / "texts/cycle");
  CHECK(found(folder, {folder / "texts"}) == names{"texts/a.txt", "texts/link.txt"});
  // An entry that is itself a link to a folder is meant.
  fs::create_directory_symlink(elsewhere.string(), folder / "entry");
  CHECK(find_files({folder / "entry"}, paths_of_shard(0)).size() == 1);
}

TEST_CASE("what is wrong with data.paths is said with shard, path and remedy") {
  const temporary_folder folder;
  folder.write("good.txt", "text");
  folder.write("empty.txt", "");
  folder.write("empties/empty.txt", "");
  fs::create_directories(folder / "void/deep");
  fs::create_directories(folder / "broken");
  fs::create_symlink(folder / "nowhere", folder / "broken/link");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const auto at = folder.string() + "/";
  const auto good = folder / "good.txt";

  CHECK(error_of({}, 3) ==
        "data.paths, shard 3: the list is empty; give at least one file, folder or pattern");
  CHECK(error_of({good, at + "nowhere"}, 1) ==
        "data.paths, shard 1: \"" + at +
            "nowhere\" does not exist; correct the path or take it "
            "out of the list");
  CHECK(error_of({""}) ==
        "data.paths, shard 0: \"\" does not exist; correct the path or take it out of the list");
  CHECK(error_of({good, at + "*.tex"}) == "data.paths, shard 0: the pattern \"" + at +
                                              "*.tex\" matches nothing; correct it or take "
                                              "it out of the list");
  for (const auto* name : {"empty.txt", "empties", "void", "empt*"}) {
    CHECK(error_of({good, at + name}) == "data.paths, shard 0: \"" + at + name +
                                             "\" holds nothing, not one byte; correct the "
                                             "path or take it out of the list");
  }
  CHECK(error_of({at + "broken"}) == "data.paths, shard 0: \"" + at +
                                         "broken/link\" is a link to nothing; remove it or name "
                                         "the files beside it with a pattern");
  CHECK(error_of({at + "pipe"}) == "data.paths, shard 0: \"" + at +
                                       "pipe\" is neither a file nor a folder; take it out of "
                                       "the list");
  CHECK(error_of({at + "good.txt/below"}) ==
        "data.paths, shard 0: \"" + at +
            "good.txt/below\" does not exist; correct the path or "
            "take it out of the list");
}

TEST_CASE("what may not be read is an error") {
  const temporary_folder folder;
  CHECK_THROWS_WITH_AS(read_file(folder / "gone", paths_of_shard(2)),
                       ("data.paths, shard 2: \"" + folder.string() +
                        "/gone\" cannot be read (No such file or directory); check its "
                        "permissions or take it out of the list")
                           .c_str(),
                       rubato::usage_error);
  // Opens, but fails to be read, also for a superuser.
  CHECK_THROWS_WITH_AS(read_file(folder.string(), paths_of_shard(0)),
                       ("data.paths, shard 0: \"" + folder.string() +
                        "\" cannot be read (Is a directory); check its permissions or take it out "
                        "of the list")
                           .c_str(),
                       rubato::usage_error);
  if (geteuid() != 0) {
    folder.write("locked/a.txt", "text");
    fs::permissions(folder / "locked", fs::perms::none);
    CHECK(error_of({folder.string()}) == "data.paths, shard 0: \"" + folder.string() +
                                             "/locked\" cannot be read (Permission denied); check "
                                             "its permissions");
    fs::permissions(folder / "locked", fs::perms::owner_all);
  }
}

TEST_CASE("a file is read as it is, whatever its bytes and size") {
  const temporary_folder folder;
  for (const std::size_t size : {1, 4096, 65535, 65536, 65537, 200000}) {
    CAPTURE(size);
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + i / 256);
    CHECK(read_file(folder.write("bytes", text), paths_of_shard(0)) == text);
  }
}

TEST_CASE("a shard is called after the last telling part of its first path") {
  CHECK(shard_name({"/usr/include/ATen", "/usr/include/c10"}, 0) == "ATen");
  CHECK(shard_name({"/usr/include/c++/*"}, 1) == "c++");
  CHECK(shard_name({"/usr/include/c++/12/"}, 1) == "c++");
  CHECK(shard_name({"books/*/*.txt"}, 0) == "books");
  CHECK(shard_name({"poems.txt"}, 0) == "poems.txt");
  CHECK(shard_name({"../книги"}, 0) == "книги");
  CHECK(shard_name({"."}, 4) == "shard 4");
  CHECK(shard_name({"/"}, 5) == "shard 5");
  CHECK(shard_name({"*.txt"}, 6) == "shard 6");
}
