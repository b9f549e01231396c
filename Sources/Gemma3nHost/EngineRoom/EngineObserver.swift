/// For tests: what the steps of an engine room do. Called on the engine's thread.
package struct EngineObserver: Sendable {
    /// Before requests are taken up for a step.
    let willStep: @Sendable () -> Void
    let didStep: @Sendable (EngineStep) -> Void

    package init(willStep: @escaping @Sendable () -> Void = {}, didStep: @escaping @Sendable (EngineStep) -> Void = { _ in }) {
        (self.willStep, self.didStep) = (willStep, didStep)
    }
}

/// A pass through the model.
package struct EngineStep: Sendable {
    package struct Part: Sendable {
        /// The request's.
        package let id: String
        /// Tokens of it that took part.
        package let tokens: Int
    }

    package let parts: [Part]
}
