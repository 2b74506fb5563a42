// llama.cpp as a scorer: reads requests, one a line, and answers each with one line.
//
//   tokenize HEX          token ids of the text whose UTF-8 bytes these are, as the model begins texts
//   score FIRST ID ID...  log-probability of the tokens from number FIRST on, and 1 if each of them
//                         is the most likely one, else 0
//   eos                   the id that ends a sequence
//
// Arguments: MODEL THREADS, then "floats" for a cache of 32-bit floats. Built by tools/peer --scorer
// against the libraries that it built; used by tests/oracles/harness.py.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

namespace {

constexpr int kContext = 2048;

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "peer_scorer: %s\n", why);
  std::exit(1);
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

void tokenize(const llama_vocab* vocabulary, const std::string& text) {
  std::vector<llama_token> ids(text.size() + 8);
  const int count = llama_tokenize(vocabulary, text.data(), static_cast<int>(text.size()),
                                   ids.data(), static_cast<int>(ids.size()), true, false);
  if (count < 0) stop("the text has too many tokens");
  for (int i = 0; i < count; ++i) std::printf("%d ", ids[static_cast<std::size_t>(i)]);
  std::printf("\n");
}

void score(llama_context* context, int vocabulary, std::size_t first,
           const std::vector<llama_token>& ids) {
  if (first < 1 || first >= ids.size() || ids.size() > kContext) stop("a request out of range");
  llama_memory_clear(llama_get_memory(context), true);
  llama_batch batch = llama_batch_init(static_cast<int>(ids.size()), 0, 1);
  batch.n_tokens = static_cast<int>(ids.size()) - 1;
  for (int i = 0; i < batch.n_tokens; ++i) {
    batch.token[i] = ids[static_cast<std::size_t>(i)];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = static_cast<std::size_t>(i) + 1 >= first;
  }
  if (llama_decode(context, batch) != 0) stop("decoding failed");
  double sum = 0;
  bool greedy = true;
  for (std::size_t i = first; i < ids.size(); ++i) {
    const float* row = llama_get_logits_ith(context, static_cast<int>(i) - 1);
    const float* top = std::max_element(row, row + vocabulary);
    double total = 0;
    for (int v = 0; v < vocabulary; ++v) total += std::exp(static_cast<double>(row[v]) - *top);
    sum += static_cast<double>(row[ids[i]]) - *top - std::log(total);
    greedy = greedy && top - row == ids[i];
  }
  llama_batch_free(batch);
  std::printf("%.9f %d\n", sum, greedy ? 1 : 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) stop("usage: peer_scorer MODEL THREADS [floats]");
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params loading = llama_model_default_params();
  llama_model* model = llama_model_load_from_file(argv[1], loading);
  if (model == nullptr) stop("the model does not load");
  llama_context_params running = llama_context_default_params();
  running.n_ctx = kContext;
  running.n_batch = kContext;
  running.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  running.n_threads = running.n_threads_batch = std::atoi(argv[2]);
  if (argc > 3 && std::strcmp(argv[3], "floats") == 0)
    running.type_k = running.type_v = GGML_TYPE_F32;
  llama_context* context = llama_init_from_model(model, running);
  if (context == nullptr) stop("no context");
  const llama_vocab* vocabulary = llama_model_get_vocab(model);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "tokenize") {
      std::string hex;
      words >> hex;
      tokenize(vocabulary, from_hex(hex));
    } else if (verb == "score") {
      std::size_t first = 0;
      words >> first;
      std::vector<llama_token> ids;
      for (llama_token id; words >> id;) ids.push_back(id);
      score(context, llama_vocab_n_tokens(vocabulary), first, ids);
    } else if (verb == "eos") {
      std::printf("%d\n", llama_vocab_eos(vocabulary));
    } else {
      stop("an unknown request");
    }
    std::fflush(stdout);
  }
}
