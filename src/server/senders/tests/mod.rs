mod loss;
mod table;
mod words;
