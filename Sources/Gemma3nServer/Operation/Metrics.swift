internal import Gemma3nHost

/// What the server has done, as Prometheus reads it.
struct Metrics {
    private(set) var text = ""

    init(_ engine: EngineFigures, _ http: HTTPFigures.Counted, _ store: Store.Figures) {
        counter("requests_accepted_total", "Requests the engine took on.", engine.accepted)
        counter("requests_refused_total", "Requests refused: too many were waiting, or the server was stopping.", engine.refused)
        counter("requests_finished_total", "Requests answered to their end.", engine.finished)
        counter("requests_cancelled_total", "Requests whose caller ended them or went away.", engine.cancelled)
        counter("requests_failed_total", "Requests that ended with an error.", engine.failed)
        gauge("requests_queued", "Requests that wait.", engine.queued)
        gauge("requests_running", "Requests that are computed.", engine.running)
        counter("prompt_tokens_total", "Tokens of prompts.", engine.promptTokens)
        counter("prompt_tokens_cached_total", "Those of them that stood in a cache.", engine.cachedTokens)
        counter("cache_hits_total", "Requests whose prompt began in a cache.", engine.cacheHits)
        counter("prompts_joined_total", "Requests that waited for a beginning which another one was computing.", engine.joined)
        counter("media_cache_hits_total", "Pictures and sounds that were not encoded, since they were known.", engine.mediaHits)
        counter("media_cache_misses_total", "Pictures and sounds that were encoded.", engine.mediaMisses)
        gauge("media_cache_bytes", "Pictures and sounds held, with what they were encoded to.", engine.mediaBytes)
        gauge("cache_bytes", "Keys and values held, of answers under way and of those that ended.", engine.cacheBytes)
        head("response_tokens_total", "Tokens of answers, by the part of the model that made them.", "counter")
        for (size, tokens) in engine.responseTokensBySize.sorted(by: { $0.key < $1.key }) { line("response_tokens_total", "size=\"\(size)\"", "\(tokens)") }
        histogram("batch_size", "Requests that took part in a pass through the model.", engine.batchSizes)
        histogram("queue_seconds", "From a request's arrival to the beginning of its work.", engine.queueSeconds)
        histogram("time_to_first_token_seconds", "From a request's arrival to its first token.", engine.firstTokenSeconds)
        histogram("time_per_token_seconds", "Between two tokens of an answer.", engine.tokenSeconds)
        histogram("answer_seconds", "From a request's arrival to the end of its answer.", engine.answerSeconds)

        head("http_requests_total", "HTTP requests by route, method and status.", "counter")
        for (key, count) in http.requests.sorted(by: { $0.key < $1.key }) {
            line("http_requests_total", "route=\"\(key.route)\",method=\"\(Self.escaped(key.method))\",status=\"\(key.status)\"", "\(count)")
        }
        gauge("http_requests_under_way", "HTTP requests that are being answered.", http.underWay)
        counter("http_clients_gone_total", "HTTP requests whose client went away before the end.", http.cancelled)
        counter("http_request_bytes_total", "Bytes of request bodies.", http.bytesIn)
        head("http_request_seconds", "Time of HTTP requests by route.", "histogram")
        for (route, times) in http.seconds.sorted(by: { $0.key < $1.key }) {
            for (bound, count) in zip(Histogram.bounds, times.counts) { line("http_request_seconds_bucket", "route=\"\(route)\",le=\"\(bound)\"", "\(count)") }
            line("http_request_seconds_bucket", "route=\"\(route)\",le=\"+Inf\"", "\(times.count)")
            line("http_request_seconds_sum", "route=\"\(route)\"", "\(times.sum)")
            line("http_request_seconds_count", "route=\"\(route)\"", "\(times.count)")
        }
        gauge("store_responses", "Responses that can be asked for and referred to.", store.responses)
        gauge("store_conversations", "Conversations.", store.conversations)
        gauge("store_bytes", "What responses and conversations take in the store.", store.bytes)
        gauge("process_resident_bytes", "Memory this process holds.", ProcessFigures.residentBytes ?? 0)
    }

    /// - Parameter storage: Nil as long as there are no files.
    mutating func add(_ storage: Storage.Opened?, _ lines: (completed: Int, failed: Int)) {
        let files = storage?.files.figures ?? FileStore.Figures()
        gauge("files", "Files that were uploaded or that batches wrote.", files.count)
        gauge("files_bytes", "Their bytes.", files.byteCount)
        head("batches", "Batches by status.", "gauge")
        let batches = storage?.batches.all ?? []
        for status in Batch.Status.allCases {
            line("batches", "status=\"\(status.rawValue)\"", "\(batches.count { $0.status == status })")
        }
        counter("batch_lines_completed_total", "Lines of batches that were answered.", lines.completed)
        counter("batch_lines_failed_total", "Lines of batches that failed.", lines.failed)
    }

    private mutating func counter(_ name: String, _ help: String, _ value: Int) {
        head(name, help, "counter")
        line(name, "", "\(value)")
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        head(name, help, "gauge")
        line(name, "", "\(value)")
    }

    private mutating func histogram(_ name: String, _ help: String, _ values: EngineHistogram) {
        head(name, help, "histogram")
        var sum = 0
        for (bound, count) in zip(values.bounds, values.counts) {
            sum += count
            line(name + "_bucket", "le=\"\(bound)\"", "\(sum)")
        }
        line(name + "_bucket", "le=\"+Inf\"", "\(values.count)")
        line(name + "_sum", "", "\(values.sum)")
        line(name + "_count", "", "\(values.count)")
    }

    private mutating func head(_ name: String, _ help: String, _ type: String) {
        text += "# HELP gemma3n_\(name) \(help)\n# TYPE gemma3n_\(name) \(type)\n"
    }

    private mutating func line(_ name: String, _ labels: String, _ value: String) {
        text += "gemma3n_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)\n"
    }

    /// Any word may be a method.
    private static func escaped(_ text: String) -> String { text.filter { $0.isASCII && $0.isLetter } }
}
