// Making a corpus: a folder of token shards with a manifest, from files of text.
// Not here: what is printed (app/data), training on it (data/tokens).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "corpus/documents.hpp"
#include "data/tokens/manifest.hpp"

namespace rubato {

struct prepare_progress {
  std::uint64_t bytes = 0;         // of the input files that are read, as they lie on the disk
  std::uint64_t bytes_before = 0;  // of these, read by an earlier call that was cut short
  std::uint64_t total_bytes = 0;   // of all input files
  std::uint64_t text_bytes = 0;    // in documents, of this call
  std::uint64_t documents = 0;
  std::uint64_t bad_lines = 0;
  bool is_joining = false;  // all are read, and the shards are being put together
};

struct prepare_options {
  std::vector<std::string> inputs;  // files and folders
  std::string output;               // a folder, made if it is not there
  std::string tokenizer = "bytes";  // or the path of a SentencePiece model
  std::int64_t shards = 1;
  /// iid: by a hash of the document. source: an input each. cluster: by the words in a document.
  std::string split = "iid";
  double held_out = 0.01;  // share of the documents, by a hash of their text
  std::int64_t seed = 1;
  double max_bad_lines = 0.001;  // share of the lines
  std::int64_t threads = 0;      // 0: one for each core
  /// Called about twice a second by the thread that calls prepare_corpus(), and at the end.
  std::function<void(const prepare_progress&)> report = [](const prepare_progress&) {};
};

struct prepare_result {
  manifest corpus;
  struct bad_place {
    std::string path;
    bad_line what;
  };
  std::vector<bad_place> bad_lines;  // the first ones of each file
  bool was_there = false;            // prepared before, of the same files with the same options
};

/// Reads all inputs, and writes the corpus. Cut short, by a signal or an error, it goes on where it
/// was when it is called again; then, and on any number of threads, the files are the same to the
/// byte. A file that has changed meanwhile is read anew. Memory does not grow with the inputs.
///
/// Throws usage_error: wrong options; input that is missing, unreadable or damaged; more bad lines
/// than allowed (told with file and line, and kept in FOLDER/bad-lines.txt); a shard without
/// documents; a folder that holds another corpus. Throws run_error if it cannot write, or if
/// another process is at it.
prepare_result prepare_corpus(const prepare_options& options);

}  // namespace rubato
