// Tags and embedding of a song, and its similarity to another, by docs/onnx.md and onnxruntime alone:
//   tag model.onnx song.wav [other.wav [WEIGHT ...]]    a weight for each space of the model, in its order
// Songs are WAV files, 16-bit integers or 32-bit floats, at the model's rate: ffmpeg -i song.mp3 -ar 22050 song.wav
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

using Error = std::runtime_error;
using Strings = std::vector<std::string>;
struct Space { std::string name; long start, stop; };  // a JSON string; columns of the embedding
struct Track { std::vector<double> tags, embedding; };
struct Model {
    Ort::Session session;
    long rate, size, columns;  // Hz; samples of an excerpt; columns of the embedding
    bool normalized;
    Strings tags;  // JSON strings
    std::vector<Space> spaces;
};

// The strings, numbers and words of the JSON text that the file keeps under a key, in order; strings with their quotes.
Strings metadata(const Ort::Session& session, const std::string& key) {
    const std::string name = "musiczoo." + key;
    const Ort::AllocatorWithDefaultOptions allocator;
    const auto found = session.GetModelMetadata().LookupCustomMetadataMapAllocated(name.c_str(), allocator);
    if (!found) throw Error("the model has no " + name + " in its metadata");
    const std::string text = found.get();
    const std::regex token(R"("(?:[^"\\]|\\.)*"|[-+.\w]+)");
    return Strings(std::sregex_token_iterator(text.begin(), text.end(), token), std::sregex_token_iterator());
}

Model load(const Ort::Env& env, const char* path) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    Ort::Session session(env, path, options);
    const auto value = [&](const char* key) { return metadata(session, key).at(0); };
    if (value("format") != "1") throw Error("expected a model of format 1, got " + value("format"));
    const long rate = std::stol(value("sample_rate")), size = std::stol(value("excerpt_samples"));
    const bool normalized = value("normalized") == "true";
    const Strings tags = metadata(session, "tags"), spaces = metadata(session, "spaces");  // name, start, stop, name...
    Model model{std::move(session), rate, size, 0, normalized, tags, {}};
    for (size_t i = 0; i + 2 < spaces.size(); i += 3) {
        model.spaces.push_back({spaces[i], std::stol(spaces[i + 1]), std::stol(spaces[i + 2])});
        model.columns = std::max(model.columns, model.spaces.back().stop);
    }
    return model;
}

template <typename T> T at(const std::string& bytes, size_t place) {  // WAV files are little-endian, as this machine is
    T value;
    const size_t got = bytes.copy(reinterpret_cast<char*>(&value), sizeof value, place);
    return got == sizeof value ? value : throw Error("the WAV file ends early");
}
// Samples of a WAV file, the mean of its channels.
std::vector<float> read_wav(const std::string& path, long rate) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    size_t format = 0, data = 0, length = 0;
    for (size_t place = 12; !data && place + 8 <= bytes.size();) {
        const size_t size = at<uint32_t>(bytes, place + 4);
        if (!bytes.compare(place, 4, "fmt ")) format = place + 8;
        if (!bytes.compare(place, 4, "data")) data = place + 8, length = std::min(size, bytes.size() - data);
        place += 8 + size + size % 2;
    }
    if (bytes.compare(0, 4, "RIFF") || !format || !data) throw Error(path + ": cannot be read, or is no WAV file");
    const size_t code = at<uint16_t>(bytes, format), channels = at<uint16_t>(bytes, format + 2);
    const size_t bits = at<uint16_t>(bytes, format + 14), width = bits / 8, frame = channels * width;
    const bool floats = code == 3 && bits == 32, some = frame && length >= frame;
    if (!some || !(floats || (code == 1 && bits == 16)) || at<uint32_t>(bytes, format + 4) != rate)
        throw Error(path + ": expected audio, in 16-bit integers or 32-bit floats at " + std::to_string(rate) +
                    " Hz. Convert the song: ffmpeg -i SONG -ar " + std::to_string(rate) + " song.wav");
    std::vector<float> samples;  // whole frames: what is cut off after them is left out
    for (size_t place = data; place + frame <= data + length; place += frame) {
        double sum = 0;
        for (size_t i = place; i < place + frame; i += width)
            sum += floats ? at<float>(bytes, i) : at<int16_t>(bytes, i) / 32768.0;
        samples.push_back(std::isfinite(sum) ? sum / channels : throw Error(path + ": expected finite samples"));
    }
    return samples;
}

double dot(const Space& space, const Track& x, const Track& y) {
    const double *a = x.embedding.data(), *b = y.embedding.data();
    return std::inner_product(a + space.start, a + space.stop, b + space.start, 0.0);
}
bool silent(const float* samples, long size) {  // a standard deviation below two steps of 16 bits
    const double mean = std::accumulate(samples, samples + size, 0.0) / size;
    const auto add = [mean](double sum, float value) { return sum + (value - mean) * (value - mean); };
    return std::sqrt(std::accumulate(samples, samples + size, 0.0, add) / size) < 2.0 / 32768;
}

Track analyze(Model& model, std::vector<float> samples) {
    samples.resize(std::max<size_t>(samples.size(), model.size));  // zeros after a short song
    Track track{std::vector<double>(model.tags.size()), std::vector<double>(model.columns)};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const int64_t shape[] = {1, model.size};
    const char *inputs[] = {"waveform"}, *outputs[] = {"tags", "embedding"};
    double count = 0;
    for (size_t start = 0; start + model.size <= samples.size(); start += 3 * model.rate) {
        if (silent(&samples[start], model.size)) continue;
        const auto waveform = Ort::Value::CreateTensor<float>(memory, &samples[start], model.size, shape, 2);
        const auto results = model.session.Run(Ort::RunOptions(), inputs, &waveform, 1, outputs, 2);
        for (size_t i = 0; i < model.tags.size(); ++i) track.tags[i] += results[0].GetTensorData<float>()[i];
        for (long i = 0; i < model.columns; ++i) track.embedding[i] += results[1].GetTensorData<float>()[i];
        ++count;
    }
    for (auto* means : {&track.tags, &track.embedding}) for (double& value : *means) value /= std::max(count, 1.0);
    for (const Space& space : model.spaces) {
        const double length = model.normalized ? std::sqrt(dot(space, track, track) * model.spaces.size()) : 1;
        for (long i = space.start; length > 0 && i < space.stop; ++i) track.embedding[i] /= length;
    }
    return track;
}

int main(int argc, char** argv) try {
    if (argc < 3) throw Error("usage: tag model.onnx song.wav [other.wav [WEIGHT ...]]");
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    const Ort::Env env;
    Model model = load(env, argv[1]);
    const size_t spaces = model.spaces.size();
    if (argc > 4 && argc - 4 != int(spaces)) throw Error("expected " + std::to_string(spaces) + " weights");
    const Track track = analyze(model, read_wav(argv[2], model.rate));
    for (size_t i = 0; i < model.tags.size(); ++i)
        std::printf(i ? ", %s: %.9g" : "{\"tags\": {%s: %.9g", model.tags[i].c_str(), track.tags[i]);
    for (long i = 0; i < model.columns; ++i) std::printf(i ? ", %.9g" : "}, \"embedding\": [%.9g", track.embedding[i]);
    if (argc > 3) {
        const Track other = analyze(model, read_wav(argv[3], model.rate));
        double score = 0, sum = 0;
        for (size_t i = 0; i < spaces; ++i) {
            const double cosine = dot(model.spaces[i], track, other) * (model.normalized ? spaces : 1);
            const double weight = argc > 4 ? std::atof(argv[4 + i]) : 1;
            score += weight * cosine, sum += weight;
            std::printf(i ? ", %s: %.9g" : "], \"cosines\": {%s: %.9g", model.spaces[i].name.c_str(), cosine);
        }
        std::printf("}, \"score\": %.9g", score / sum);
    }
    std::puts(argc > 3 ? "}" : "]}");
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
