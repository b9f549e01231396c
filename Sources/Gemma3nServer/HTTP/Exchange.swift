internal import Checkpoint
package import HTTPTypes
package import Logging

/// A request, whole but for uploads, as the routes see it.
package struct Exchange: Sendable {
    package let method: HTTPRequest.Method
    /// Percent-decoded, without the query.
    package let path: String
    package let query: Query
    package let headers: HTTPFields
    package internal(set) var body: [UInt8]
    /// Of routes that take uploads: the body as it comes.
    package var upload: IncomingBody?
    /// Whether nobody waits for it: lines of a batch give way to requests of users.
    package var isBackground = false
    /// What is logged with it and told to the client.
    package let id: String
    package internal(set) var connection: Connection
    package var log: Logger
    /// What stood in the places of the route's `{names}`.
    package var parameters: [String: String] = [:]
    /// Requests of other scopes have no use of what is computed for it.
    package var cacheScope: String?

    package init(
        _ method: HTTPRequest.Method, _ path: String, query: Query = Query(), headers: HTTPFields = [:], body: [UInt8] = [], id: String = "",
        connection: Connection = Connection(), log: Logger
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.id = id
        self.connection = connection
        self.log = log
    }

    package func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }

    /// The body as a JSON object.
    ///
    /// - Throws: 400 with line and column if it is none.
    package func fields() throws(Refusal) -> Fields {
        do throws(CheckpointError) {
            let json = try JSONValue.parse(body, file: "The body")
            guard let object = json.object else { throw CheckpointError(.malformedJSON, file: "The body", "is \(json.kind), expected an object.") }
            return Fields(object)
        } catch {
            throw Refusal(400, error.description, code: "invalid_json")
        }
    }
}
