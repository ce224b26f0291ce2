"""Pure planning: settings and state in, a Plan out."""
