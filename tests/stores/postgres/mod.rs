mod server;
mod steps;
