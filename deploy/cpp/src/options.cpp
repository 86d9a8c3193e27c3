#include "options.h"

#include <cmath>
#include <locale>
#include <sstream>
#include <vector>

#include "fault.h"

const char* const kUsage =
    "nodules NETWORKS LUNG --threshold=P [--least=P] [--most=N] [--tile=N] [--format=csv|jsonl] [--threads=N]\n"
    "\n"
    "NETWORKS     folder with proposal and judge: torchscript or aotinductor of stage=export\n"
    "LUNG         header of a lung, NAME.lung, with NAME.hu and NAME.mask beside it\n"
    "--threshold  probability from which a candidate is a finding: it stands on the model card\n"
    "--least      probability from which candidates are printed (the threshold)\n"
    "--most       most candidates that are judged, 1 to 10000 (30, or up to 100 where more may be findings)\n"
    "--tile       slices that the proposal network sees at once, 32 to 512 (160)\n"
    "--format     csv, or a line of JSON for each candidate (csv)\n"
    "--threads    threads to compute on, 1 to 1024 (the cores)\n";

namespace {

template <typename Number>
Number number(const std::string& name, const std::string& text, Number low, Number high) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  Number value{};
  std::string more;
  if (!(stream >> value) || stream >> more || !(value >= low && value <= high)) {
    std::ostringstream allowed;
    allowed << name << "=" << text << " is not a number from " << low << " to " << high;
    throw BadInput(allowed.str());
  }
  return value;
}

bool is_json_lines(const std::string& text) {
  if (text != "csv" && text != "jsonl") {
    throw BadInput("--format=" + text + " is neither csv nor jsonl");
  }
  return text == "jsonl";
}

}  // namespace

Options read_options(int count, const char* const* words) {
  Options options;
  std::optional<double> threshold;
  std::optional<double> least;
  std::vector<std::string> places;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word.rfind("--", 0) != 0) {
      places.push_back(word);
      continue;
    }
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    const auto text = equals == std::string::npos ? std::string() : word.substr(equals + 1);
    if (name == "--threshold") {
      threshold = number(name, text, 0.0, 1.0);
    } else if (name == "--least") {
      least = number(name, text, 0.0, 1.0);
    } else if (name == "--most") {
      options.search.most = static_cast<std::size_t>(number<std::int64_t>(name, text, 1, 10000));
    } else if (name == "--tile") {
      options.search.tile = number<std::int64_t>(name, text, 32, 512);
    } else if (name == "--format") {
      options.json_lines = is_json_lines(text);
    } else if (name == "--threads") {
      options.threads = number<int>(name, text, 1, 1024);
    } else {
      throw BadInput(name + " is not an option; --help names them");
    }
  }
  if (places.size() != 2 || !threshold) {
    throw BadInput("wanted: nodules NETWORKS LUNG --threshold=P; --help says what they are");
  }
  options.networks = places[0];
  options.lung = places[1];
  options.search.threshold = *threshold;
  options.least = least.value_or(*threshold);
  return options;
}
