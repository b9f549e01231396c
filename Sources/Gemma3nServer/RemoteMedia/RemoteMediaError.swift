/// Why media were not fetched: the end of a sentence whose beginning names the field.
package struct RemoteMediaError: Error, Sendable, Equatable {
    package let message: String

    package init(_ message: String) { self.message = message }
}
