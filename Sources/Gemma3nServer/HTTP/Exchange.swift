internal import Checkpoint
internal import HTTPTypes
internal import Logging

/// A request, whole, as the routes see it.
struct Exchange: Sendable {
    let method: HTTPRequest.Method
    /// Percent-decoded, without the query.
    let path: String
    let headers: HTTPFields
    let body: [UInt8]
    /// What is logged with it and told to the client.
    let id: String
    let connection: Connection
    var log: Logger
    /// What stood in the places of the route's `{names}`.
    var parameters: [String: String] = [:]

    init(
        _ method: HTTPRequest.Method, _ path: String, headers: HTTPFields = [:], body: [UInt8] = [], id: String = "", connection: Connection = Connection(),
        log: Logger
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.id = id
        self.connection = connection
        self.log = log
    }

    func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }

    /// The body as a JSON object.
    ///
    /// - Throws: 400 with line and column if it is none.
    func fields() throws(Refusal) -> Fields {
        do throws(CheckpointError) {
            let json = try JSONValue.parse(body, file: "The body")
            guard let object = json.object else { throw CheckpointError(.malformedJSON, file: "The body", "is \(json.kind), expected an object.") }
            return Fields(object)
        } catch {
            throw Refusal(400, error.description, code: "invalid_json")
        }
    }
}
